"""The log of a training run, step by step: groups without a gradient, what normalisation blows up, what was logged."""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd

from jaxcliff.auditing import tables
from jaxcliff.auditing.advantages import NEAR, NORMALISATIONS, Fit, Rollouts, groups
from jaxcliff.auditing.population import edges
from jaxcliff.auditing.resolution import common_step
from jaxcliff.auditing.rows import CHUNK, Rows
from jaxcliff.auditing.sources import quoted


@dataclasses.dataclass
class Training:
    """What an audit found in a log.

    Attributes:
        weights: of the rewards, as the trainer adds them up; given: whether the user named them.
        usual: the standard deviation within a group whose scores differ, typically: the median over groups.
        resolution: the step of the sum of the rewards as they are written; 0 if one of them has none.
        steps: a row per step; groups: a row per (step, prompt).
        fit: how the logged advantages compare with the known formulas.
        numbers: what the summary says, by name.
    """

    weights: np.ndarray
    given: bool
    usual: float
    resolution: float
    steps: pd.DataFrame
    numbers: dict[str, Any]
    fit: Fit | None
    groups: Any = None


def training_of(rows: Rows, weights: np.ndarray, given: bool) -> Training:
    """Goes over the log once, whole steps at a time."""
    db, count = rows.source.db, len(rows.models)
    _rollouts(rows)
    fit = Fit(count) if rows.roles.advantage else None
    sizes = db.execute("SELECT step, count(*) AS n FROM rollouts GROUP BY step ORDER BY step").fetchnumpy()
    steps, ends = np.asarray(sizes["step"], float), np.cumsum(np.asarray(sizes["n"], int))
    cuts = np.unique(np.searchsorted(ends, np.arange(CHUNK, ends[-1] + CHUNK, CHUNK)) + 1)
    start = 0
    for stop in np.minimum(cuts, len(steps)).tolist():
        if stop <= start:
            continue
        _chunk(rows, weights, fit, float(steps[start]), float(steps[stop - 1]))
        start = stop
    resolution = common_step(weights, rows.resolution)
    usual = db.execute("SELECT median(std) FROM group_facts WHERE NOT dead").fetchone()[0] or 0.0
    names = list(NORMALISATIONS)
    near = f"(NOT g.dead AND (g.residue OR g.std <= {NEAR * usual!r}))"
    _groups_report(rows, near, resolution, usual)
    share = ", ".join(
        f"sum(w{i}) FILTER (WHERE {near}) / nullif(sum(w{i}), 0) AS {quoted(f'share of near-ties: {name}')}"
        for i, name in enumerate(names)
    )
    own = tables.step_of_log(db).replace("n.", "")
    by_step = db.execute(
        f"SELECT {own} AS step, count(*) AS groups, sum(size) AS rollouts, avg(mean) AS mean, "
        "avg(dead::INTEGER) AS dead, "
        f"avg({near}::INTEGER) AS near_dead, avg(ln(tied)) AS entropy_of_winners, avg((tied > 1)::INTEGER) AS ties, "
        f"{share} FROM group_facts g GROUP BY step ORDER BY step"
    ).df()
    return Training(weights, given, usual, resolution, by_step, _numbers(db, near, resolution, count), fit)


def _rollouts(rows: Rows) -> None:
    """The rollouts as they were, equal texts apart, sorted by step and group."""
    count = len(rows.models)
    if rows.roles.model:
        scores = [f"max(c.s0) FILTER (c.m = {k}) AS s{k}" for k in range(count)]
        more = ["max(c.advantage) AS advantage"] if rows.roles.advantage else []
        # the first score of a text by one model belongs to its first rollout, the second to the second
        turns = "row_number() OVER (PARTITION BY step, hi, lo, key, m ORDER BY row) AS turn"
        rows.source.db.execute(
            f"CREATE TABLE rollouts AS SELECT n.gid, n.step, min(c.row) AS row, c.key, {', '.join(scores + more)} "
            f"FROM (SELECT *, {turns} FROM cells) c JOIN names n ON n.hi = c.hi AND n.lo = c.lo AND n.step = c.step "
            "GROUP BY n.gid, n.step, c.key, c.turn ORDER BY n.step, n.gid, row"
        )
        return
    wanted = ["n.gid", "n.step", "c.row", "c.key", *(f"c.s{k}" for k in range(count))]
    wanted += ["c.advantage"] if rows.roles.advantage else []
    rows.source.db.execute(
        f"CREATE TABLE rollouts AS SELECT {', '.join(wanted)} FROM cells c JOIN names n ON n.hi = c.hi AND n.lo = c.lo "
        "AND n.step = c.step ORDER BY n.step, n.gid, c.row"
    )


def _chunk(rows: Rows, weights: np.ndarray, fit: Fit | None, first: float, last: float) -> None:
    db, count = rows.source.db, len(rows.models)
    got = db.execute(
        "SELECT * FROM rollouts WHERE step >= ? AND step <= ? ORDER BY step, gid, row", [first, last]
    ).fetchnumpy()

    def numbers(name: str) -> np.ndarray:
        return np.ma.filled(got[name].astype(float), np.nan)

    gid, step = np.asarray(got["gid"]), numbers("step")
    starts = np.flatnonzero(np.concatenate([[True], np.diff(gid) != 0]))
    batches = np.flatnonzero(np.concatenate([[True], np.diff(step) != 0]))
    rewards = np.stack([numbers(f"s{k}") for k in range(count)], axis=1)
    run = Rollouts(rewards, weights, starts, batches)
    if fit is not None:
        fit.add(run, numbers("advantage"))
    found = groups(run)
    totals = run.totals
    highest = np.repeat(np.maximum.reduceat(totals, starts), found.size)
    best = pd.DataFrame({"gid": gid, "key": np.asarray(got["key"])})[totals >= highest]
    tied = best.groupby("gid", sort=False)["key"].nunique().reindex(gid[starts]).to_numpy()
    table = {"gid": gid[starts], "step": step[starts], "size": found.size, "mean": found.mean, "std": found.std}
    table |= {"dead": found.dead, "residue": found.residue, "gain": found.gain, "tied": tied, "largest": found.largest}
    table |= {f"apart_{e}": found.apart[:, e] for e in range(found.apart.shape[1])}
    table |= {f"w{i}": found.weight[:, i] for i in range(found.weight.shape[1])}
    tables.append(db, "group_facts", pd.DataFrame(table))


def _groups_report(rows: Rows, near: str, resolution: float, usual: float) -> None:
    pairs = [
        f"g.apart_{e} AS {quoted(f'apart: {rows.models[i]}, {rows.models[j]}')}"
        for e, (i, j) in enumerate(edges(len(rows.models)))
    ]
    size = [f"g.w{i} / g.size AS {quoted(f'mean |A|: {name}')}" for i, name in enumerate(NORMALISATIONS)]
    rows.source.db.execute(
        f"CREATE TABLE groups_report AS SELECT {tables.step_of_log(rows.source.db)} AS step, n.prompt, g.size "
        "AS rollouts, g.mean, "
        "g.std, g.dead, "
        f"{near} AS near_dead, g.residue AS float32_residue, g.tied AS best_texts, g.gain AS advantage_per_unit, "
        f"g.gain * {resolution!r} AS advantage_of_one_step, {usual!r} / nullif(g.std, 0) AS blown_up, "
        f"{', '.join([*pairs, *size])} FROM group_facts g JOIN names n USING (gid) ORDER BY g.step, g.gid"
    )


def _numbers(db: Any, near: str, resolution: float, count: int) -> dict[str, Any]:
    parts = {
        "groups": "count(*)",
        "dead": "count(*) FILTER (g.dead)",
        "near_dead": f"count(*) FILTER (WHERE {near})",
        "residue": "count(*) FILTER (g.residue)",
        "largest_gain": "max(g.gain) FILTER (NOT g.dead)",
        "median_gain": "median(g.gain) FILTER (NOT g.dead)",
        "smallest_group": "min(g.size)",
        "largest_group": "max(g.size)",
        "steps": "count(DISTINCT g.step)",
    }
    for e in range(len(edges(count))):
        parts[f"apart_{e}"] = f"avg(g.apart_{e}) FILTER (NOT isnan(g.apart_{e}))"
    for i in range(len(NORMALISATIONS)):
        parts[f"near_share_{i}"] = f"sum(w{i}) FILTER (WHERE {near}) / nullif(sum(w{i}), 0)"
    row = db.execute("SELECT " + ", ".join(parts.values()) + " FROM group_facts g").fetchone()
    return dict(zip(parts, row, strict=True)) | {"resolution": resolution}
