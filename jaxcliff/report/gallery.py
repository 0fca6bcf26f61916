"""The gallery: every case study of the paper as a figure, as data, and in plain words with the numbers of this run."""

import concurrent.futures
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import xarray as xr

from jaxcliff import figures, scenarios, studies
from jaxcliff.core.devices import cores
from jaxcliff.report import folder, readings

FIRST_LINE = "Gallery of the paper's case studies, by jaxcliff"
ABOUT = (
    "Every figure has a knob on its x axis. Black is the optimum, which jumps at the vertical line; in colour are maps "
    "that smooth it, or do not: KL from the policy before training, entropy, the best of several answers, and GRPO "
    "(means of its runs, bars from the least to the most). Stars are the paper's numbers. Below, a number of the paper "
    f"and the model agree if they differ by no more than {readings.FEW} times the accuracy to which it was read."
)
# What tells explanations apart, by the scenario that it belongs to.
EXPERIMENTS = {
    "obfuscation": "irrelevant_alternatives",
    "obedience": "survival_floor",
    "data_mixture": "left_out",
    "perturbation": "perturbed_models",
}
WRITTEN = (*scenarios.list(), *EXPERIMENTS.values())


class Page(NamedTuple):
    """A study, its picture, and its reading."""

    name: str
    data: xr.Dataset
    figure: Any
    text: str


def names_of(given: list[str]) -> list[str]:
    """The pages that are asked for, in their order: a scenario brings its experiment, no names bring all."""
    wanted = set(given or scenarios.list())
    wanted |= {EXPERIMENTS[name] for name in wanted if name in EXPERIMENTS}
    every = [page for name in scenarios.list() for page in (name, EXPERIMENTS.get(name))]
    return [page for page in every if page in wanted and page is not None]


def write(given: list[str], out: Path, *, seed: int, quick: bool, say: Callable[[str], None]) -> None:
    """Makes the folder `out`: README.txt, and per page a PNG, a PDF (unless `quick`) and the data as zarr.

    An older gallery is written over; a folder with anything else under these names is refused.
    """
    began = time.perf_counter()
    text = [f"{FIRST_LINE}\nSeed {seed}{', quick' if quick else ''}", textwrap.fill(ABOUT, 100)]
    folder.make_gallery(out, FIRST_LINE, WRITTEN)
    say(text[0])
    for page in pages(names_of(given), seed, quick):
        page.data.attrs["gallery_seed"] = seed
        page.data.to_zarr(out / f"{page.name}.zarr", mode="w", consolidated=False)
        forms: dict[str, Any] = {"png": {"Software": None}} | ({} if quick else {"pdf": {"CreationDate": None}})
        for suffix, metadata in forms.items():
            page.figure.savefig(out / f"{page.name}.{suffix}", dpi=150 if quick else 300, metadata=metadata)
        files = f"{', '.join(f'{page.name}.{suffix}' for suffix in forms)} (data: {page.name}.zarr)"
        paragraphs = [textwrap.fill(part, 100) for part in page.text.split("\n")]
        text.append("\n".join([files, *paragraphs]))
        (out / folder.README).write_text("\n\n".join(text) + "\n", encoding="utf-8")
        say(f"\n{text[-1]}")
    say(f"\n{time.perf_counter() - began:.0f} s of computing; see {out}/")


def pages(names: list[str], seed: int, quick: bool) -> Iterator[Page]:
    """One after the other, computed by two threads: while one compiles, the other computes.

    Each has a key of its own, whatever else is asked for.
    """
    keys = [jax.random.fold_in(jax.random.key(seed), WRITTEN.index(name)) for name in names]
    with concurrent.futures.ThreadPoolExecutor(min(2, cores())) as pool:
        computing = [pool.submit(_data, name, key, quick) for name, key in zip(names, keys, strict=True)]
        try:
            for name, data in zip(names, computing, strict=True):
                kind, ds = name if name in EXPERIMENTS.values() else "case_study", data.result()
                yield Page(name, ds, getattr(figures, kind)(ds), getattr(readings, kind)(ds))
        finally:  # what is not begun is not wanted after a mistake or Ctrl-C
            pool.shutdown(wait=False, cancel_futures=True)


def _data(name: str, key: Any, quick: bool) -> Any:
    if name not in EXPERIMENTS.values():
        few: dict[str, Any] = {"trials": 7, "count": 3} if quick else {}
        return studies.case_study(name, key=key, **few)
    options: dict[str, Any] = {"irrelevant_alternatives": {"steps": 1000, "rate": 4.0} if quick else {}}
    options |= {"survival_floor": {"key": key}, "perturbed_models": {"key": key, "count": 7 if quick else 26}}
    return getattr(studies, name)(**options.get(name, {}))
