"""Weights that are learned with the policy: how many answers there are, which, and the loop of a sweep."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from jaxcliff.core import checks
from jaxcliff.core.types import AxesLike, Dataset, Names
from jaxcliff.figures.style import DASHES, INK, PAGE, colour, dressed, figure_of, outside, panels, style, words

# What is told apart in a phase diagram: its words, and its shade.
PHASES = (
    ("one fixed point", "#f2f2f2"),
    ("several stable ones", "#7fb2d6"),
    ("one, a hasty gate swings", "#f0b48c"),
    ("one, slowly reached", "#c9c9c9"),
)


def learned_weights(
    ds: Dataset,
    *,
    axes: AxesLike | None = None,
    colors: Names | None = None,
    labels: Names | None = None,
) -> Figure:
    """Draws a dataset of `studies.learned_weights`.

    Left, over the strength of entropy and the feedback, how many fixed points there are, and where a gate that jumps to
    its answer swings between two (negative feedback stands below 0); the line is where equal weights lose their
    stability, 4α for two arms that pay 1, and below 0 the same with the other sign. Middle, at one strength, the fixed
    points over the feedback: solid where stable. Right, the watched action as one reward goes up and comes down. Of
    gates without feedback, left are the jump and the joint Lipschitz constant, over the strength.

    Args:
        ds: the dataset.
        axes: three to draw on; a new figure if not given.
        colors, labels: one per entry of the legends, in their order; ours if not given.
    """
    checks.study(ds, "learned weights", "jc.studies.learned_weights")
    with style():
        left, middle, right = each = panels(axes, PAGE, 3.2, 3, 1, ", one each for phases, fixed points and a loop")
        at = _strength(ds)
        if "feedback" in ds.dims:
            _phases(left, ds, float(ds.strength[at]))
        else:
            _over_strength(left, ds)
        _fixed_points(middle, ds, at)
        _loop(right, ds, at)
        for panel in each:
            outside(panel, below=True, bbox_to_anchor=(0.5, -0.24), ncols=1)
        dressed(each, colors, labels)
    return figure_of(left)


def _strength(ds: xr.Dataset) -> int:
    """The strength that is shown: the one in whose row there is most to see, the middle one of those."""
    if "feedback" not in ds.dims:
        return ds.sizes["strength"] // 2
    positive = ds.feedback.values > 0
    several = (ds.stable.values[positive] > 1).mean(axis=0) if positive.any() else np.zeros(ds.sizes["strength"])
    return int(np.abs(several - 0.5).argmin())


def _phases(panel: Axes, ds: xr.Dataset, shown: float) -> None:
    alpha, zeta = ds.strength.values, ds.feedback.values
    kind = np.where(ds.stable.values > 1, 1, 0)
    if "period" in ds:
        kind = np.where((kind == 0) & (ds.period.values == 2), 2, kind)
        kind = np.where((kind == 0) & (ds.period.values == 0), 3, kind)
    found = np.unique(kind)
    shades = ListedColormap([PHASES[i][1] for i in found])
    panel.set_xscale("log")
    least = float(np.abs(zeta[zeta != 0]).min(initial=1.0))
    if (zeta < 0).any():
        panel.set_yscale("symlog", linthresh=least, linscale=0.4)
        decades = 10.0 ** np.arange(np.ceil(np.log10(1.5 * least)), np.log10(np.abs(zeta).max()) + 0.01)
        panel.set_yticks([*-decades[::-1], 0, *decades])
        panel.minorticks_off()
    else:
        panel.set_yscale("log")
    rows = _edges(zeta) if (zeta < 0).any() else _log_edges(zeta)
    panel.pcolormesh(
        _log_edges(alpha), rows, np.searchsorted(found, kind), cmap=shades, vmin=-0.5, vmax=len(found) - 0.5
    )
    for i in found:
        panel.fill_between([], [], [], facecolor=PHASES[i][1], edgecolor=INK["grey"], lw=0.5, label=PHASES[i][0])
    if "critical" in ds and bool(ds.critical.notnull().any()):
        edge = ds.critical.values
        panel.plot(alpha, edge, color="black", lw=1.2, label="equal weights lose their hold")
        if (zeta < 0).any():
            panel.plot(alpha, -edge, color="black", lw=1.2)
    panel.axvline(shown, color=INK["grey"], lw=0.8, ls=":")
    panel.set(xlim=(alpha[0], alpha[-1]), ylim=(rows[0], rows[-1]))
    panel.set(xlabel="strength of entropy α (reward)", ylabel="feedback ζ (1/reward)", title="phases")


def _log_edges(x: np.ndarray) -> np.ndarray:
    """Between points of a logarithmic axis."""
    if len(x) == 1:
        return np.array([x[0] / 1.2, x[0] * 1.2])
    middle = np.sqrt(x[1:] * x[:-1])
    return np.concatenate([[x[0] ** 2 / middle[0]], middle, [x[-1] ** 2 / middle[-1]]])


def _edges(x: np.ndarray) -> np.ndarray:
    """The same on an axis that goes through 0."""
    sides = [sign * _log_edges(np.sort(sign * x[sign * x > 0]))[::sign] for sign in (-1, 1) if (sign * x > 0).any()]
    return sides[0] if len(sides) == 1 else np.concatenate([sides[0][:-1], [0.0], sides[1][1:]])


def _over_strength(panel: Axes, ds: xr.Dataset) -> None:
    alpha = ds.strength.values
    panel.plot(alpha, ds.jump, color=colour(0), label="jump between stable ones")
    panel.plot(alpha, ds.loop_area, color=colour(1), ls=DASHES[1], label="area of the loop")
    panel.plot(alpha, ds.joint, color=colour(2), ls=DASHES[2], label="joint Lipschitz constant")
    panel.set(xscale="log", ylim=(0, None))
    panel.set(xlabel="strength of entropy α (reward)", ylabel="total variation, and per unit", title=ds.attrs["gate"])


def _fixed_points(panel: Axes, ds: xr.Dataset, at: int) -> None:
    over = "feedback" if "feedback" in ds.dims else "strength"
    part = ds.isel(strength=at) if over == "feedback" else ds
    if over == "feedback" and bool((part.feedback > 0).any()):
        part = part.isel(feedback=np.flatnonzero(part.feedback > 0))
    share = part.policy.isel(state=ds.attrs["state"], action=ds.attrs["action"]).values
    stable, x = part.multiplier.values < 1, part[over].values
    looks: dict[bool, tuple[str, Any, str]] = {
        True: (INK["blue"], "-", "stable"),
        False: (INK["red"], (0, (2, 1.5)), "unstable"),
    }
    for good, (ink, dash, label) in looks.items():
        which = (stable == good) & np.isfinite(share)
        if which.any():
            if good:
                panel.plot(np.broadcast_to(x[:, None], share.shape)[which], share[which], ".", ms=3, color=ink)
            panel.plot([], [], ls=dash, color=ink, label=label)
    for i in range(len(x) - 1):
        for j, k in _pairs(share[i], share[i + 1]):
            ink, dash, _ = looks[bool(stable[i, j] and stable[i + 1, k])]
            panel.plot(x[i : i + 2], [share[i, j], share[i + 1, k]], ls=dash, color=ink)
    if over == "feedback" and "critical" in ds and np.isfinite(float(part.critical)):
        panel.axvline(float(part.critical), color="black", lw=1, label="equal weights lose their hold")
    named = "feedback ζ (1/reward)" if over == "feedback" else "strength of entropy α (reward)"
    panel.set(xscale="log", ylim=(-0.03, 1.03), xlabel=named, ylabel=f"probability of {_watched(ds)}")
    panel.set_title(f"fixed points at α = {float(part.strength):.2g}" if over == "feedback" else "fixed points")


def _pairs(one: np.ndarray, two: np.ndarray) -> list[tuple[int, int]]:
    """Which of the one belongs to which of the other: those that are each other's nearest."""
    apart = np.nan_to_num(np.abs(one[:, None] - two), nan=np.inf)
    nearest, back = apart.argmin(axis=1), apart.argmin(axis=0)
    return [(j, int(k)) for j, k in enumerate(nearest) if back[k] == j and np.isfinite(apart[j, k])]


def _loop(panel: Axes, ds: xr.Dataset, at: int) -> None:
    part = ds.isel(strength=at)
    several = [part]
    if "feedback" in ds.dims:
        zeta, stable = part.feedback.values, part.stable.values
        closed, open_ = (np.flatnonzero((zeta > 0) & which) for which in (stable == 1, stable > 1))
        ends = np.abs(part.share_up - part.share_down).isel(position=[0, -1]).max("position").values
        shut = open_[ends[open_] < 0.02]
        few = [*closed[-1:], *(shut[-1:] if len(shut) else open_[:1])] or [len(zeta) - 1]
        several = [part.isel(feedback=int(i)) for i in few]
    for i, one in enumerate(several):
        name = f"ζ = {float(one.feedback):.2g}" if "feedback" in one.coords else ds.attrs["gate"]
        panel.plot(ds.position, one.share_up, color=colour(i), label=f"{name}, up")
        panel.plot(ds.position, one.share_down, color=colour(i), ls="--", label=f"{name}, down")
    panel.set(ylim=(-0.03, 1.03), xlabel="change t of one reward (reward)", ylabel=f"probability of {_watched(ds)}")
    panel.set_title(f"a sweep at α = {float(part.strength):.2g}")


def _watched(ds: xr.Dataset) -> str:
    return words(ds.attrs["watched"], 80)
