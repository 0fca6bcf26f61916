"""The atlas of a problem: its verdict in words, and every map as a figure, as data, and in plain words.

Chapters are written as they are finished, so that an interrupted run leaves what it had.
"""

import dataclasses
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from jaxcliff import figures, studies
from jaxcliff.cliffs.calibrate import calibrate
from jaxcliff.cliffs.census import census
from jaxcliff.cliffs.radius import NearestCliff, nearest_cliff
from jaxcliff.core.labels import brief, many
from jaxcliff.model.mdp import MDP
from jaxcliff.model.transitions import Dense, Successors
from jaxcliff.report import folder, verdict
from jaxcliff.rewards import perturb
from jaxcliff.solvers.solve import solve
from jaxcliff.studies import brittle

NOISE = 0.1  # of the span, between rewards that are compared
BUDGET = 0.1  # of total variation, for which a strength is named
CENSUS_WORK = 2 * 10**10  # multiplications; fewer rewards are compared in larger problems


@dataclasses.dataclass(frozen=True)
class Subject:
    """What an atlas is about: a problem, and what it is called."""

    name: str
    mdp: MDP

    @property
    def heading(self) -> str:
        """The first paragraph of README.txt, by which the folder is known."""
        number = folder.fingerprint(self.mdp.labels, self.name, self.mdp)
        heading = f"{brief(self.name)}: {self.mdp!r}\nProblem {number}"
        return heading.encode("utf-8", "backslashreplace").decode()


@dataclasses.dataclass(frozen=True)
class Chapter:
    """One finished study with its picture and its reading."""

    name: str
    data: xr.Dataset
    figure: Figure
    text: str


def write(
    subject: Subject,
    out: Path,
    *,
    seed: int,
    count: int,
    quick: bool,
    say: Callable[[str], None],
    replace: bool = False,
    tie_tolerance: float | None = None,
) -> None:
    """Makes the folder `out`: README.txt, and per chapter a PNG, a PDF and the data as zarr.

    The atlas of the same problem is written over; that of another one is refused, or removed first with `replace`.
    """
    began = time.perf_counter()
    text = [subject.heading]
    folder.make_room(out, text[0], replace=replace)
    say(text[0])
    near = nearest_cliff(subject.mdp, tie_tolerance=tie_tolerance)
    key, noise_key = jax.random.split(jax.random.key(seed))
    text.append(verdict.words(subject.mdp, near, noise_key))
    say("\n" + text[1])

    def save() -> None:
        (out / folder.README).write_text("\n\n".join(text) + "\n", encoding="utf-8")

    save()
    for chapter in chapters(subject, near, key, count, quick):
        chapter.data.attrs |= {"name": subject.name, "atlas_seed": seed, "tie_tolerance": near.walls.tie_tolerance}
        chapter.data.to_zarr(out / f"{chapter.name}.zarr", mode="w", consolidated=False)
        for suffix, metadata in (("png", {"Software": None}), ("pdf", {"CreationDate": None})):
            chapter.figure.savefig(out / f"{chapter.name}.{suffix}", dpi=300, metadata=metadata)
        files = f"{chapter.name}.png, {chapter.name}.pdf (data: {chapter.name}.zarr)"
        text.append(f"{files}\n{textwrap.fill(chapter.text, 100)}")
        save()
        say(f"\n{text[-1]}")
    say(f"\n{time.perf_counter() - began:.0f} s of computing; see {out}/")


def chapters(subject: Subject, near: NearestCliff, key: Any, count: int, quick: bool) -> Iterator[Chapter]:
    """The studies that fit the subject, one after the other."""
    mdp, tie = subject.mdp, near.walls.tie_tolerance
    keys = jax.random.split(key, 4)
    if np.isfinite(near.margin):
        yield _phase(mdp, near, quick)
        yield _ray(mdp, near)
    yield _flips(mdp, keys[0], count, tie)
    yield _radius(mdp, near, keys[3], count)
    yield _temperature(mdp, keys[2], quick, tie)


def _phase(mdp: MDP, near: NearestCliff, quick: bool) -> Chapter:
    x, y = brittle.directions(near)
    reach = 5 * brittle.scale(near)
    pixels, regions = (96, 500) if quick else (256, 4000)
    extent = (-reach, reach, -reach, reach)
    options: dict[str, Any] = {"resolution": pixels, "max_regions": regions, "tie_tolerance": near.walls.tie_tolerance}
    ds = studies.phase_diagram(mdp, None, x, y, extent, progress=True, **options)
    radius = ds.attrs["plane_radius"]
    inside = f"Nothing switches inside the circle, of radius {radius:.3g}." if radius > 0 else "The base is on a cliff."
    if near.undecided and not near.tied:
        inside = "Whether the base is on a cliff is undecided."
    text = (
        "The optimal policy when the reward is changed along two directions at once, those towards its two most "
        f"brittle states. Every patch is one policy, exactly: {many(ds.sizes['region'], 'policy', 'policies')} and "
        f"{many(ds.sizes['edge'], 'border')} within {reach:.3g} of the base (cross). Thick borders are jumps where the "
        f"policy goes. {inside} At the farthest, {many(int(ds.states_changed.max()), 'state')} differ.{_lacking(ds)}"
    )
    return Chapter("phase", ds, figures.phase_diagram(ds), text)


def _unsure(ds: xr.Dataset) -> str:
    """What is undecided in a map or on a ray; '' for most."""
    policies = int(ds.undecided.any(["state", "action"]).sum())
    start = " It is undecided whether actions tie at the start." if ds.attrs.get("undecided_start") else ""
    return f"{start} In {policies} policies it is undecided whether some actions tie." if policies else start


def _lacking(ds: xr.Dataset) -> str:
    """What a map lacks, and what is undecided in it; '' for most."""
    words = _unsure(ds)
    if ds.attrs["stopped"]:
        words += f" The map stopped at {ds.sizes['region']:,} policies and is not complete."
    elif not ds.attrs["complete"]:
        words += " The map is not complete: the arithmetic could not follow every border to its other side."
    return words


def _ray(mdp: MDP, near: NearestCliff) -> Chapter:
    x, _ = brittle.directions(near)
    ds = studies.ray(mdp, None, x, stop=3 * brittle.scale(near), tie_tolerance=near.walls.tie_tolerance)
    kinks = int((ds.visited_tv > 1e-9).sum())
    text = (
        f"The same along one direction, that towards the nearest cliff: {many(ds.sizes['breakpoint'], 'cliff')}, "
        f"{kinks} of them where the policy goes. The optimal return (above) has no jump anywhere; the policy (below) "
        f"does nothing but jump.{_unsure(ds)}"
    )
    return Chapter("ray", ds, figures.ray(ds), text)


def _flips(mdp: MDP, key: Any, count: int, tie: Any) -> Chapter:
    ds = studies.flip_frequency(mdp, key=key, count=count, tie_tolerance=tie, progress=True)
    return Chapter("flips", ds, figures.flip_frequency(ds), read_flips(ds))


def _radius(mdp: MDP, near: NearestCliff, key: Any, count: int) -> Chapter:
    span = float(solve(mdp).span) or 1.0
    if isinstance(mdp.transitions, Dense | Successors):  # every reward has a policy, every policy a matrix
        count = min(count, max(64, CENSUS_WORK // (mdp.num_states**2 * mdp.reward.size)))
    rewards = perturb.gaussian(key, mdp, sigma=span * NOISE, count=max(count, 8)).rewards
    found = census(mdp, rewards, tie_tolerance=near.walls.tie_tolerance)
    own, radius = float(near.radius), found.radius[np.isfinite(found.radius)]
    nearer = float(np.mean(found.radius < own))
    middle = f"half of them have a cliff within {np.median(radius):.3g}" if radius.size else "none has a cliff"
    itself = (
        f"The cliff of the reward itself is at {own:.3g} (black), and {nearer:.0%} of the others are nearer to one."
    )
    stands = "It is undecided whether the reward itself stands on a cliff."
    if near.tied:
        stands = "The reward itself stands on a cliff."
    text = (
        f"How unusual this reward is: {len(found.radius):,} rewards like it, each entry moved at random by "
        f"{NOISE:.0%} of the span; {middle}. {stands if near.tied or near.undecided else itself} "
        "The dashed line is what their smallest gaps alone promise."
    )
    return Chapter("radius", found.to_dataset(), figures.radius_distribution(found.to_dataset(), mark=own), text)


def _temperature(mdp: MDP, key: Any, quick: bool, tie: Any) -> Chapter:
    span = float(solve(mdp).span) or 1.0
    ladder = np.geomspace(1e-3, 3, 7 if quick else 13) * span
    options: dict[str, Any] = {"strength": ladder, "count": 16 if quick else 48, "tie_tolerance": tie}
    ds = studies.temperature_curve(mdp, key=key, progress=True, **options)
    size = ds.attrs["size"]
    near = calibrate(mdp, noise=size, budget=BUDGET, key=key, count=128 if quick else 256)
    safe, estimate, enough = near.strength
    drawn = (
        f"For {1 - near.delta:.0%} of the rewards that far away α = {enough:.3g} is enough, with confidence "
        f"{near.confidence:.0%}; it gives away {near.lost[2]:.3g}, where the optimal return is {near.best_return:.3g}."
        if np.isfinite(enough)
        else "No weaker strength was shown to be enough for most rewards."
    )
    text = (
        "Entropy regularisation: what it buys (left), costs (middle), and how wide it makes the nearest cliff (right). "
        f"To move by at most {BUDGET:g} in total variation when the reward is off by {size:.3g}, α = {safe:.3g} is "
        f"enough for certain (the tanh bound), and gives away {near.lost[0]:.3g}; to first order {estimate:.3g} is. "
        f"{drawn}"
    )
    return Chapter("temperature", ds, figures.temperature_curve(ds), text)


def read_flips(ds: xr.Dataset) -> str:
    """The flips figure in words, with the numbers of this run."""
    safe, tied = ds.attrs["safe_radius"], int((ds.decision & (ds.optimal.sum("action") > 1)).sum())
    unsure = int(ds.base_undecided.sum())
    has = "state has" if tied == 1 else "states have"
    size = ds.attrs["telling_size"]
    telling = ds.sel(size=size)
    names = ds.state_name.values if "state_name" in ds.coords else [f"state {s}" for s in ds.state.values]
    flips = telling.flips.values
    worst = "; ".join(f"{brief(names[s])} ({flips[s]:.1%})" for s in flips.argsort()[::-1][:3] if flips[s] > 0)
    lines = [
        "Where, and how often, the optimal policy flips when every entry of the reward may be off by up to some size:",
        f"{ds.attrs['count']:,} rewards per size, all certified.",
        f"{tied} {has} more than one optimal action: there any change, however small, can flip the policy."
        if tied
        else f"In {unsure} {'state' if unsure == 1 else 'states'} it is undecided whether actions tie."
        if unsure
        else "The nearest rival is within the error of the arithmetic: no radius is certified."
        if safe == 0
        else f"No reward within {safe:.3g} of the base flips anything (certified: smallest gap / 2L).",
        f"At size {size:.3g} ({size / (ds.attrs['span'] or 1):.2g} of the reward's span) "
        f"{float(telling.any_flip):.0%} of the rewards flip some state.",
        f"Most often flipped there: {worst or 'nothing'}.",
        f"Undecided by the arithmetic: at most {float(ds.any_undecided.max()):.2%} of the rewards at any size.",
    ]
    return " ".join(lines)
