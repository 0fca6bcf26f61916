"""What the figures of an audit draw, as one dataset: curves over noise and weights, margins, conflicts, steps."""

from typing import Any

import numpy as np

from jaxcliff.auditing.advantages import NORMALISATIONS
from jaxcliff.auditing.population import edges, triangle
from jaxcliff.core.types import Dataset

QUANTILES = np.linspace(0, 1, 801)
SHARES = np.linspace(0, 1, 101)  # along an edge


def to_dataset(found: Any) -> Dataset:
    """The dataset of `jc.figures.fragility`, `margins`, `winners_over_weights`, `conflicts` and `advantages`.

    `found` is an audit whose tables are still in the engine.
    """
    import xarray as xr

    db, n, models = found.rows.source.db, found.numbers, list(found.models)
    some = max(n["compared"], 1)
    ours: dict[str, Any] = {"flips": ("noise", found.flips / some)}
    where = "FROM report WHERE answers - left_out > 1"
    ours["margin"] = ("quantile", _quantiles(db, "margin", where, n["compared"]))
    if "logit_below_0.1" in n:
        ours["margin_logit"] = ("quantile", _quantiles(db, "margin_logit", where, n["compared"]))
    coords: dict[str, Any] = {"noise": found.levels, "quantile": QUANTILES, "model": np.array(models, object)}
    pairs = edges(len(models))
    if pairs:
        whole = max(n["compared"], 1)
        left, arrived = np.zeros((2, len(pairs), len(SHARES)))
        for e in range(len(pairs)):
            ends = db.execute(
                f"SELECT min(t) AS first, max(t) AS last FROM crossings WHERE edge = {e} GROUP BY gid"
            ).fetchnumpy()
            left[e] = np.searchsorted(np.sort(ends["first"]), SHARES, side="right") / whole
            arrived[e] = 1 - (len(ends["last"]) - np.searchsorted(np.sort(ends["last"]), SHARES, side="right")) / whole
        ours |= {"left": (("edge", "share"), left), "arrived": (("edge", "share"), arrived)}
        apart, rho = np.full((2, len(models), len(models)), np.nan)
        for (i, j), row in zip(pairs, found.conflicts.to_dict("records"), strict=True):
            apart[i, j] = apart[j, i] = row["apart"] if row["apart"] is not None else np.nan
            rho[i, j] = rho[j, i] = row["rank_correlation"] if row["rank_correlation"] is not None else np.nan
        ours |= {"apart": (("model", "other"), apart), "rank_correlation": (("model", "other"), rho)}
        coords |= {"share": SHARES, "edge": np.array([f"{models[i]} → {models[j]}" for i, j in pairs], object)}
        coords["other"] = coords["model"]
    if found.kept is not None:
        full = max(n["compared"] + n["prompts_alone"], 1)
        ours |= {"kept": ("point", found.kept / full), "point_weights": (("point", "model"), triangle())}
    ours["weights"] = ("model", found.weights)
    if found.training is not None:
        steps = found.training.steps
        coords |= {"step": steps["step"].to_numpy(float), "normalisation": np.array(list(NORMALISATIONS), object)}
        for name in ("dead", "near_dead", "ties", "entropy_of_winners"):
            ours[name] = ("step", steps[name].to_numpy(float))
        shares = [steps[f"share of near-ties: {name}"].to_numpy(float) for name in NORMALISATIONS]
        ours["near_share"] = (("normalisation", "step"), np.nan_to_num(np.stack(shares)))
        gain = db.execute("SELECT gain FROM group_facts WHERE NOT dead ORDER BY gain").fetchnumpy()["gain"]
        ours["gain"] = ("quantile", np.quantile(gain, QUANTILES) if len(gain) else np.full(len(QUANTILES), np.nan))
    told = {"study": "audit", "name": found.rows.source.name, "noise_taken": found.noise.mixed}
    told |= {
        "noise_source": found.noise.source,
        "tie": n["tie"],
        "resolution": float(found.weights @ found.rows.resolution),
    }
    told |= {"prompts": n["compared"], "scale": found.scale, "span": n["span"]}
    if found.training is not None:
        told |= {"usual": found.training.usual, "score_step": found.training.resolution}
    return xr.Dataset(ours, coords, told)


def _quantiles(db: Any, column: str, where: str, count: int) -> np.ndarray:
    if not count:
        return np.full(len(QUANTILES), np.nan)
    found = db.execute(f"SELECT quantile_disc({column}, {QUANTILES.tolist()}) {where}").fetchone()[0]
    return np.full(len(QUANTILES), np.nan) if found is None else np.asarray(found, float)
