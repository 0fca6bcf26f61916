"""A picture of the records: how many times faster than the best peer, and how the cost grows.

Of every case `auto` comes first, as a user types it, and beside it the best of the methods that can be named.
"""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from jaxcliff.figures.style import style

COLOURS = {
    "auto": "#009E73",
    "value_iteration": "#0072B2",
    "shared": "#D55E00",
    "policy_iteration": "#CC79A7",
    "exact map": "#56B4E9",
}
GROWN = ("auto", "value_iteration", "shared", "exact map")  # the methods whose growth is measured
NAMES = {
    "growth_lanes_small": "rewards $B$ (16 states)",
    "growth_lanes": "rewards $B$ (256 states)",
    "growth_states": "states $S$ (64 rewards)",
    "growth_discount": "$1/(1-\\gamma)$ (256 states, 512 rewards)",
    "growth_sigma": "perturbation $\\sigma$ (256 states, 512 rewards)",
    "growth_regions": "regions of an exact map (64 states)",
}
GEOMETRY = {
    "map": "exact map, 1024² pixels",
    "radius_0.01": "radii, σ = 0.01",
    "radius_0.1": "radii, σ = 0.1",
    "radius_unrelated": "radii, unrelated",
}


def draw(records: list[dict[str, Any]]) -> Figure:
    """Bars for what one solve is compared with; one panel per axis of growth."""
    with style():
        figure, panels = plt.subplots(2, 4, figsize=(13.5, 6.2), layout="constrained")
        _bars(panels.flat[0], compared(records))
        for panel, (case, label) in zip(panels.flat[1:], NAMES.items(), strict=False):
            _growth(panel, [r for r in records if r["case"] == case], case, label)
        _geometry(panels.flat[7], [r for r in records if r["method"] in ("exact map, rasterised", "radius")])
        drawn = {r["method"] for pair in compared(records).values() for r in pair} | set(GROWN)
        used = [m for m in COLOURS if m in drawn and any(r["method"] == m for r in records)]
        handles = [plt.Line2D([], [], color=COLOURS[m], marker="o", label=m.replace("_", " ")) for m in used]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(used))
    return figure


def _geometry(panel: Any, records: list[dict[str, Any]]) -> None:
    width = [r["times_solve"] - 1 for r in records]
    panel.barh(range(len(records)), width, left=1, height=0.5, color=COLOURS["exact map"])
    panel.set_yticks(range(len(records)), [GEOMETRY[r["case"]] for r in records])
    panel.invert_yaxis()
    panel.set_xscale("log")
    panel.axvline(1, color="0.3", linewidth=0.8)
    panel.set_xlabel("time, in solves of the same rewards")


def compared(records: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """For every case that peers answered: `auto`, and the best named method."""
    found = {}
    for case in dict.fromkeys(r["case"] for r in records if r["times_best_peer"]):
        own = {r["method"]: r for r in records if r["case"] == case and r["times_best_peer"]}
        named = [r for method, r in own.items() if not method.startswith("auto")]
        best = max(named, key=lambda r: r["times_best_peer"], default=None)
        found[case] = [r for r in (own.get("auto"), best) if r]
    return found


def _bars(panel: Any, cases: dict[str, list[dict[str, Any]]]) -> None:
    for i, pair in enumerate(cases.values()):
        for j, r in enumerate(pair):
            shift = (j - (len(pair) - 1) / 2) * 0.36
            panel.barh(i + shift, r["times_best_peer"] - 1, left=1, height=0.33, color=COLOURS[r["method"]])
    panel.set_yticks(range(len(cases)), [n.replace("_0", ", σ = 0").replace("_", ", ") for n in cases])
    panel.invert_yaxis()
    panel.set_xscale("log")
    low, high = (np.round(np.log2(x)) for x in panel.get_xlim())
    ticks = 2.0 ** np.arange(low, high + 1)
    panel.set_xticks(ticks, [f"{x:g}" if x >= 1 else f"1/{1 / x:g}" for x in ticks], minor=False)
    panel.minorticks_off()
    panel.axvline(1, color="0.3", linewidth=0.8)
    panel.set_xlabel("times faster than the best peer")


def _growth(panel: Any, records: list[dict[str, Any]], case: str, label: str) -> None:
    for method in dict.fromkeys(r["method"] for r in records):
        own = [r for r in records if r["method"] == method]
        x = np.array([r["at"] for r in own])
        x = 1 / (1 - x) if case == "growth_discount" else x
        y = [np.median(r["seconds"]) for r in own]
        panel.plot(x, y, marker="o", color=COLOURS[method])
    panel.set_yscale("log")
    if case == "growth_sigma":
        panel.set_xscale("symlog", linthresh=0.01)
        panel.set_xlim(-0.002, 1.5)
    else:
        panel.set_xscale("log")
    low, high = panel.get_ylim()
    if high < 30 * low:  # nearly flat: two decades, so that it looks so
        middle = np.sqrt(low * high)
        panel.set_ylim(middle / 10, middle * 10)
    panel.set_xlabel(label)
    panel.set_ylabel("seconds")
