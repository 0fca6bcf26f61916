"""All claims on thousands of instances: a table, and the instances that contradict one."""

import dataclasses
import re
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxcliff.claims.registry import Batch, Claim, Found, some
from jaxcliff.core import checks
from jaxcliff.core.types import Dataset, Names, PathLike, Whole
from jaxcliff.problems import files

BATCH = 64  # instances over one problem
EQUAL = 256  # instances of an equality case
INSTANCES = 256


@dataclasses.dataclass(frozen=True)
class Verified:
    """One claim, and what was found.

    Attributes:
        claim: what is claimed.
        count: how many instances.
        ratios: measured / bound of those whose error is less than a tenth of the bound (of exact claims, and where the
            bound is 0, measured − bound of all).
        violations: how many instances contradict it beyond the arithmetic's own error.
        unsure: how many are within that error of the bound.
        worst: the largest ratio, or difference.
        equality: of a tight claim, how far from 1 the ratio is where both sides are equal, at the worst.
        counterexample: the instance that contradicts it most, if one does.
        seconds: what it took.
    """

    claim: Claim
    count: int
    ratios: np.ndarray
    violations: int
    unsure: int
    worst: float
    equality: float | None
    counterexample: Batch | None
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether the claim is as it says: refuted if it is to be, attained if it is tight."""
        if self.claim.kind == "refuted":
            return self.violations > 0
        return not self.violations and (self.equality is None or self.equality <= self.claim.attained)

    @property
    def verdict(self) -> str:
        """In a few words."""
        if self.claim.kind == "refuted":
            return "refuted, as it should be" if self.violations else "NOT REFUTED"
        if self.violations:
            return f"VIOLATED by {self.violations} of {self.count}"
        if self.equality is not None and self.equality > self.claim.attained:
            return f"NOT ATTAINED: {self.equality:.1e} away"
        return {"tight": "holds, attained", "validator": "refused", "exact": "equal"}.get(self.claim.kind, "holds")

    def row(self) -> dict[str, Any]:
        """What a table or a JSON file keeps."""
        own = ("name", "section", "statement", "formula", "kind", "source", "told")
        found = {name: getattr(self.claim, name) for name in own} | {"instances": self.count, "worst": self.worst}
        more = {"equality": self.equality, "violations": self.violations, "unsure": self.unsure}
        return found | more | {"verdict": self.verdict, "holds": self.holds, "seconds": self.seconds}


def verify(
    names: Names | None = None,
    *,
    instances: Whole = INSTANCES,
    seed: Whole = 0,
    told: Callable[[Verified], None] | None = None,
) -> list[Verified]:
    """Every claim (or those that are named) on as many random instances, and on the instances that attain it.

    Args:
        names: such as "2.4" (which is "2.4 outcomes" too).
        instances: at least so many for each, but for those whose `costly` says otherwise.
        seed: of the instances.
        told: is given each as it comes.
    """
    count = checks.whole(instances, "instances", 1)
    seed = checks.whole(seed, "seed", 0)
    found = []
    for each in some(None if names is None else list([names] if isinstance(names, str) else names)):
        found.append(measured(each, count, seed))
        if told is not None:
            told(found[-1])
    return found


def batches(claim: Claim, count: int, seed: int) -> Iterator[Batch]:
    """So many instances of a claim, always the same for a seed."""
    rng = np.random.default_rng([seed, zlib.crc32(claim.name.encode())])
    left = -(-count // claim.costly)
    while left > 0:
        batch = claim.instances(rng, BATCH)
        left -= rows(batch)
        yield batch


def attained(claim: Claim, seed: int) -> Iterator[Batch]:
    """Instances of its equality case."""
    if claim.equality is not None:
        rng = np.random.default_rng([seed, 1, zlib.crc32(claim.name.encode())])
        yield from (claim.equality(rng, BATCH) for _ in range(EQUAL // BATCH))


def rows(batch: Batch) -> int:
    """How many instances."""
    return len(next(iter(batch.arrays.values())))


def ratios(claim: Claim, found: Found) -> np.ndarray:
    """Measured / bound; where that says nothing, measured − bound."""
    if claim.kind == "exact" or not np.all(found.bound > 0):
        return np.abs(found.measured - found.bound)
    told = found.error < found.bound / 10
    return found.measured[told] / found.bound[told]


def apart(found: Found) -> float:
    """How far measured and bound are apart, relative to the bound, at the worst."""
    return float(np.max(np.abs(found.bound - found.measured) / np.where(found.bound > 0, found.bound, 1)))


def measured(claim: Claim, count: int, seed: int) -> Verified:
    """One claim, on at least so many instances."""
    began = time.monotonic()
    several, seen, violations, unsure = [], 0, 0, 0
    worst: tuple[float, Batch | None] = -np.inf, None
    for batch in batches(claim, count, seed):
        found = claim.found(batch)
        several.append(ratios(claim, found))
        seen += len(found.measured)
        bad = claim.violated(found)
        violations += int(bad.sum())
        unsure += int((~bad & (found.error > 0) & (found.measured + found.error > found.bound)).sum())
        if bad.any():
            beyond = np.where(bad, np.nan_to_num(found.measured - found.bound - found.error, nan=np.inf), -np.inf)
            if beyond.max() > worst[0]:
                worst = float(beyond.max()), batch.row(int(beyond.argmax()))
    equal = [apart(claim.found(batch)) for batch in attained(claim, seed)]
    whole = np.concatenate(several)
    return Verified(
        claim=claim,
        count=seen,
        ratios=whole,
        violations=violations,
        unsure=unsure,
        worst=float(np.max(whole, initial=0)),
        equality=max(equal) if equal else None,
        counterexample=worst[1],
        seconds=time.monotonic() - began,
    )


def to_dataset(several: Sequence[Verified]) -> Dataset:
    """The table as a dataset; its figure is `jc.figures.claims`."""
    import xarray as xr

    table = [each.row() for each in several]
    quantiles = np.array([0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0])
    spread = np.array([np.quantile(each.ratios if len(each.ratios) else [0.0], quantiles) for each in several])
    columns = {name: [np.nan if row[name] is None else row[name] for row in table] for name in table[0]}
    arrays = {name: np.array(x, object if isinstance(x[0], str) else None) for name, x in columns.items()}
    coords = {"claim": arrays.pop("name"), "quantile": quantiles}
    variables: dict[str, Any] = {name: ("claim", x) for name, x in arrays.items()}
    return xr.Dataset(variables | {"ratio": (("claim", "quantile"), spread)}, coords, {"study": "claims"})


def save(claim: Claim, batch: Batch, folder: PathLike) -> Path:
    """One instance of a claim, in a file that `replay` reads: the problem as a file within it, and the arrays."""
    path = Path(folder) / f"{re.sub(r'[^A-Za-z0-9.]+', '-', claim.name).strip('-')}.npz"
    with tempfile.TemporaryDirectory() as place:
        files.save(batch.mdp, Path(place) / "problem.npz")
        problem = np.frombuffer((Path(place) / "problem.npz").read_bytes(), np.uint8)
    np.savez(path, claim=claim.name, problem=problem, **batch.arrays)
    return path


def replay(path: PathLike) -> tuple[Claim, Found]:
    """An instance from a file, measured again."""
    try:
        with np.load(Path(path), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        name, problem = str(arrays.pop("claim")), arrays.pop("problem").tobytes()
    except FileNotFoundError:
        raise ValueError(f"there is no file {path}") from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        raise ValueError(f"{path} holds no instance of a claim; jaxcliff verify --out writes one that does") from None
    claim = next((each for each in some(None) if each.name == name), None)
    if claim is None:
        raise ValueError(f"{path} is an instance of {name!r}, a claim that this version does not know")
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "problem.npz").write_bytes(problem)
        mdp = files.load(Path(place) / "problem.npz")
    return claim, claim.found(Batch(mdp, arrays))
