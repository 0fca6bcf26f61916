"""A claim: one statement, the instances that could refute it, and what is measured on them.

    @claim("2.10", "Every bump …", formula="TV = (m − 1)/m", kind="exact", instances=ties)
    def uniform_policies_jump(mdp, q_values, …): return Found(measured, bound, error)

A function is given a problem and arrays with one row per instance, and says for each what was measured, what the claim
says of it, and by how much the arithmetic may be wrong. A statement is written here and nowhere else: its test, the
command `jaxcliff verify` and docs/theory.md are made from the record.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from jaxcliff.model.mdp import MDP

KINDS = {
    "tight": "measured ≤ bound, and equal in the equality case",
    "loose": "measured ≤ bound; the largest ratio is the finding",
    "exact": "measured = bound on every instance",
    "validator": "what contradicts an assumption is refused",
    "refuted": "as stated it is wrong: some instance has measured > bound",
}
SOURCES = ("paper", "new", "corrected")


class Found(NamedTuple):
    """What a claim's function says of its instances, an entry each.

    Attributes:
        measured, bound: the two sides.
        error: by how much their difference may be wrong, rounding included: from certificates.
    """

    measured: Any
    bound: Any
    error: Any = 0.0

    def arrays(self) -> "Found":
        """In numpy, of one shape."""
        numbers = (np.asarray(x, np.float64) for x in self)
        return Found(*np.broadcast_arrays(*map(np.atleast_1d, numbers)))


class Batch(NamedTuple):
    """Instances over one problem: arrays by the name under which a claim asks for them, a row per instance."""

    mdp: MDP
    arrays: dict[str, Any]

    def row(self, i: int) -> "Batch":
        """One instance."""
        return Batch(self.mdp, {name: np.asarray(x)[i : i + 1] for name, x in self.arrays.items()})


Instances = Callable[[np.random.Generator, int], Batch]


@dataclasses.dataclass(frozen=True)
class Claim:
    """One statement.

    Attributes:
        name: the number in the paper, with a word where it is not the paper's own: "2.4", "2.10 sets".
        section: the part of the theory it belongs to: the title of its file.
        statement: in one sentence.
        formula: what is measured, and what bounds it.
        kind: of `KINDS`.
        source: "paper", "new" (derived here), or "corrected" (the paper's, in the form in which it holds).
        check: from a batch to `Found`.
        instances: draws batches; `equality`, of a tight claim, those on which both sides are equal.
        attained: to which relative accuracy they are, at least.
        mutant: the same claim, wrong in a way of its own, from `Found` to `Found`; see `wrong`.
        told: a word on what a table cannot show.
        costly: so many times fewer instances are looked at: one is thousands of draws, or a linear programme.
    """

    name: str
    section: str
    statement: str
    formula: str
    kind: str
    source: str
    check: Callable[..., Found]
    instances: Instances
    equality: Instances | None = None
    attained: float = 0.0
    mutant: Callable[[Found], Found] | None = None
    told: str = ""
    costly: int = 1

    def found(self, batch: Batch) -> Found:
        """Both sides, on a batch."""
        return self.check(batch.mdp, **batch.arrays).arrays()

    def violated(self, found: Found) -> np.ndarray:
        """Which instances contradict it, whatever the arithmetic did."""
        apart = found.measured - found.bound
        apart = np.abs(apart) if self.kind == "exact" else apart
        return ~(apart <= found.error)  # NaN contradicts

    def wrong(self, found: Found) -> Found:
        """What a slightly wrong claim says of the same instances.

        Its bound is 2 % smaller (of a loose one, than the largest that is measured), or its equality off by 2 %; what
        is refuted is true. A check that cannot tell shows nothing.
        """
        if self.mutant is not None:
            return self.mutant(found).arrays()
        if self.kind in ("exact", "validator"):
            return found._replace(bound=found.bound * 0.98 - 0.02 * (found.bound == 0))
        if self.kind == "refuted":
            return found._replace(bound=found.measured)
        largest = np.max(found.measured / found.bound, initial=0) if self.kind == "loose" else 1.0
        return found._replace(bound=found.bound * largest * 0.98)


_CLAIMS: dict[str, Claim] = {}


def claim(
    name: str,
    statement: str,
    *,
    formula: str,
    kind: str,
    instances: Instances,
    source: str = "paper",
    equality: Instances | None = None,
    attained: float = 0.0,
    mutant: Callable[[Found], Found] | None = None,
    told: str = "",
    costly: int = 1,
) -> Callable[[Callable[..., Found]], Callable[..., Found]]:
    """Registers a function as the check of a claim; see `Claim`."""
    assert name not in _CLAIMS, name
    assert kind in KINDS, kind
    assert source in SOURCES, source
    assert (equality is not None) == (kind == "tight"), f"{name}: a tight claim, and no other, has an equality case"

    def register(check: Callable[..., Found]) -> Callable[..., Found]:
        module = __import__(check.__module__, fromlist=["SECTION"])
        own = (name, module.SECTION, statement, formula, kind, source, check, instances)
        _CLAIMS[name] = Claim(*own, equality=equality, attained=attained, mutant=mutant, told=told, costly=costly)
        return check

    return register


def claims() -> list[Claim]:
    """All of them, in the order of the theory."""
    from jaxcliff.claims import sections

    assert sections
    return list(_CLAIMS.values())


def some(names: list[str] | None) -> Iterator[Claim]:
    """Those that are named, or all; a number of the paper names all that carry it."""
    known = claims()
    for name in names or []:
        if not any(each.name == name or each.name.split()[0] == name for each in known):
            raise ValueError(f"there is no claim {name!r}; there are {', '.join(each.name for each in known)}")
    for each in known:
        if not names or each.name in names or each.name.split()[0] in names:
            yield each
