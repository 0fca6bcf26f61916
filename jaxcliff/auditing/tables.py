"""What was found, as tables with names instead of numbers: a row per prompt, per change of a winner, per pair.

They stay in the engine, which sorts and joins them however many they are.
"""

from typing import Any

import numpy as np
import pandas as pd

from jaxcliff.auditing.noise import Noise
from jaxcliff.auditing.population import edges
from jaxcliff.auditing.rows import Rows
from jaxcliff.auditing.sources import quoted

FIRST = 10  # prompts that are named for a pair of models
ENDS = 0.001  # of the scale, from its ends


def append(db: Any, name: str, frame: pd.DataFrame) -> None:
    """Adds rows to a table, which the first of them make."""
    db.register("rows_to_add", frame)
    if db.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = ?", [name]).fetchone():
        db.execute(f"INSERT INTO {name} SELECT * FROM rows_to_add")
    else:
        db.execute(f"CREATE TABLE {name} AS SELECT * FROM rows_to_add")
    db.unregister("rows_to_add")


def step_of_log(db: Any) -> str:
    """SQL: the step as it counts, a whole number if all are."""
    whole = db.execute("SELECT bool_and(step = floor(step)) FROM names").fetchone()[0]
    return "n.step::BIGINT" if whole else "n.step"


def _label(place: str) -> str:
    return f"(SELECT label FROM answers a WHERE a.gid = f.gid AND a.place = f.{place})"


def report(rows: Rows, weights: np.ndarray, noise: Noise, tie: float) -> None:
    """The tables `report`, the most fragile prompts first, and `weights_report`."""
    db, models = rows.source.db, rows.models
    names = " ".join(f"WHEN {k} THEN {_text(name)}" for k, name in enumerate(models))
    parts = ["n.prompt"]
    if rows.roles.is_log:
        parts.append(f"{step_of_log(db)} AS step")
    close = float(np.sqrt(2) * noise.mixed)
    parts += [
        "row_number() OVER fragile AS review_rank",
        "f.flip_probability",
        "f.flip_error",
        "sum(f.flip_probability) OVER fragile / nullif(sum(f.flip_probability) OVER (), 0) AS review_removes",
        f"{_label('winner')} AS winner",
        "(SELECT row FROM answers a WHERE a.gid = f.gid AND a.place = f.winner) AS winner_row",
        f"{_label('runner_up')} AS runner_up",
        "f.margin",
        "f.tied",
        f"(f.scored > 1 AND f.margin <= {tie!r}) AS is_tie",
        f"(f.scored > 1 AND f.margin <= {close!r}) AS within_noise",
        "f.answers",
        "f.answers - f.scored AS left_out",
        "f.value",
        "f.mean",
        "f.behind_the_tie",
        "f.distance_all",
        "f.distance_entry",
        *(f"f.distance_{k} AS {quoted(f'distance: {name}')}" for k, name in enumerate(models)),
        "f.weights_distance",
        f"{_label('weights_rival')} AS weights_rival",
        f"CASE f.weights_gain {names} END AS weights_towards",
        f"CASE f.weights_lose {names} END AS weights_away_from",
        "f.temperature",
        "f.temperature_costs",
        "f.temperature_worst AS temperature_moves",
        "f.best_of_kl",
        "f.best_of_loses",
        "f.same_kl_temperature",
        "f.same_kl_loses",
    ]
    if "margin_logit" in _columns(db, "facts"):
        parts.append("f.margin_logit")
    if len(models) > 1:
        for k, name in enumerate(models):
            parts.append(f"{_label(f'winner_{k}')} AS {quoted(f'winner: {name}')}")
            parts.append(f"{_label(f'second_{k}')} AS {quoted(f'runner_up: {name}')}")
            parts.append(f"f.margin_{k} AS {quoted(f'margin: {name}')}")
            parts.append(f"f.tied_{k} AS {quoted(f'tied: {name}')}")
        parts.append(f"{_conflicts(len(models))} AS conflicts")
    parts += [f"f.rank_{x} AS {quoted(f'rank of the winner: {name}')}" for x, name in enumerate(rows.roles.suspects)]
    order = "ORDER BY f.flip_probability DESC, f.margin, f.gid"
    db.execute(
        f"CREATE TABLE report AS SELECT {', '.join(parts)} FROM facts f JOIN names n USING (gid) "
        f"WINDOW fragile AS ({order}) {order}"
    )
    if not edges(len(models)):
        db.execute(
            "CREATE TABLE crossings AS SELECT 0 AS gid, 0 AS edge, 0.0 AS t, 0 AS leaves, 0 AS enters WHERE false"
        )
    pairs = edges(len(models))
    step = f" {step_of_log(db)} AS step," if rows.roles.is_log else ""
    one = " ".join(f"WHEN {e} THEN {_text(models[i])}" for e, (i, _) in enumerate(pairs)) or "WHEN 0 THEN ''"
    two = " ".join(f"WHEN {e} THEN {_text(models[j])}" for e, (_, j) in enumerate(pairs)) or "WHEN 0 THEN ''"
    db.execute(
        f"CREATE TABLE weights_report AS SELECT n.prompt,{step} CASE f.edge {one} END AS from_model, "
        f"CASE f.edge {two} END AS to_model, f.t AS share, {_label('leaves')} AS leaves, {_label('enters')} AS enters "
        "FROM crossings f JOIN names n USING (gid) ORDER BY f.edge, f.t, f.gid"
    )


def _conflicts(models: int) -> str:
    return " + ".join(f"coalesce(f.apart_{e}, 0)::INTEGER" for e in range(len(edges(models))))


def _columns(db: Any, table: str) -> list[str]:
    return [row[0] for row in db.execute(f"DESCRIBE {table}").fetchall()]


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _row(db: Any, sql: str) -> dict[str, Any]:
    cursor = db.execute(sql)
    return dict(zip([column[0] for column in cursor.description], cursor.fetchone(), strict=True))


def numbers(rows: Rows, weights: np.ndarray, noise: Noise, tie: float, both: bool) -> dict[str, Any]:
    """What the summary says, by name."""
    db, close = rows.source.db, float(np.sqrt(2) * noise.mixed)
    some = "scored > 1"
    ends = f"value <= {ENDS} OR value >= {1 - ENDS}" if both else "false"
    parts = {
        "prompts": "count(*)",
        "answers": "sum(answers)",
        "most_answers": "max(answers)",
        "left_out": "sum(answers - scored)",
        "prompts_without_choice": "count(*) FILTER (scored < 2)",
        "prompts_alone": "count(*) FILTER (scored = 1)",
        "compared": f"count(*) FILTER ({some})",
        "ties": f"count(*) FILTER ({some} AND margin <= {tie!r})",
        "equal_best": "count(*) FILTER (winner_again > 0)",
        "tied_rows": f"count(*) FILTER ({some} AND margin <= {tie!r} OR winner_again > 0)",
        "with_equal_answers": "count(*) FILTER (repeats)",
        "within_noise": f"count(*) FILTER ({some} AND margin <= {close!r})",
        "expected_flips": "sum(flip_probability)",
        "expected_flips_error": "sqrt(sum(flip_error * flip_error))",
        "median_margin": f"median(margin) FILTER ({some})",
        "dominated": f"count(*) FILTER ({some} AND isinf(weights_distance))",
        "median_weights_distance": f"median(weights_distance) FILTER ({some} AND NOT isinf(weights_distance))",
        "temperature": f"quantile_cont(temperature, .9) FILTER ({some})",
        "temperature_most": f"max(temperature) FILTER ({some})",
        "temperature_costs": f"avg(temperature_costs) FILTER ({some})",
        "best_of_kl": f"avg(best_of_kl) FILTER ({some})",
        "best_of_loses": f"avg(best_of_loses) FILTER ({some})",
        "same_kl_loses": f"avg(same_kl_loses) FILTER ({some})",
    }
    for share in (0.001, 0.01, 0.05):
        parts[f"margin_below_{share:g}"] = (
            f"count(*) FILTER ({some} AND margin < {share!r} * (SELECT {_span(weights, rows)!r}))"
        )
    if both:
        near = f"margin < 0.001 * (SELECT {_span(weights, rows)!r})"
        parts["near_at_the_ends"] = f"count(*) FILTER ({some} AND {near} AND ({ends}))"
        for odds in (0.1, 0.5):
            parts[f"logit_below_{odds:g}"] = f"count(*) FILTER ({some} AND margin_logit < {odds})"
    told = _row(db, "SELECT " + ", ".join(f"{sql} AS {quoted(name)}" for name, sql in parts.items()) + " FROM facts")
    told |= {"rows": rows.count, "merged": rows.merged, "tie": tie, "noise": noise.mixed, "span": _span(weights, rows)}
    told["removed_by_a_tenth"] = _row(
        db,
        "SELECT max(review_removes) AS x FROM report WHERE review_rank <= greatest(1, (SELECT count(*) FROM "
        "report) // 10)",
    )["x"]
    told["half_after"] = _row(db, "SELECT min(review_rank) AS x FROM report WHERE review_removes >= .5")["x"]
    return {name: x if isinstance(x, float) else int(x) for name, x in _plain(told).items()}


def _span(weights: np.ndarray, rows: Rows) -> float:
    """The scale of the mixture: from its lowest possible score to its highest."""
    return float((weights * (rows.highest - rows.lowest)).sum())


def _plain(told: dict[str, Any]) -> dict[str, Any]:
    return {name: float("nan") if x is None else x for name, x in told.items()}


def conflicts(rows: Rows) -> pd.DataFrame:
    """A row per pair of models: how often no answer is best for both, how their ranks agree, where it costs most."""
    db, found = rows.source.db, []
    for edge, (i, j) in enumerate(edges(len(rows.models))):
        told = _row(
            db,
            f"SELECT count(apart_{edge}) AS prompts, avg(apart_{edge}) AS apart, avg(rho_{edge}) FILTER (NOT "
            f"isnan(rho_{edge})) "
            f"AS rank_correlation, avg(loss_{edge}) FILTER (NOT isnan(loss_{edge})) AS loss FROM facts "
            f"WHERE NOT isnan(apart_{edge})",
        )
        worst = db.execute(
            f"SELECT n.prompt FROM facts f JOIN names n USING (gid) WHERE f.apart_{edge} = 1 "
            f"ORDER BY f.loss_{edge} DESC, f.gid LIMIT {FIRST}"
        ).fetchall()
        own = {"one": rows.models[i], "other": rows.models[j]}
        found.append(own | told | {"most_costly_prompts": [row[0] for row in worst]})
    columns = ["one", "other", "prompts", "apart", "rank_correlation", "loss", "most_costly_prompts"]
    return pd.DataFrame(found, columns=columns)


def suspects(rows: Rows) -> pd.DataFrame:
    """A row per suspect column: where winners stand by it, and how surely that is no accident."""
    db, found = rows.source.db, []
    for x, name in enumerate(rows.roles.suspects):
        told = _row(
            db,
            f"SELECT count(*) AS prompts, avg(rank_{x}) AS rank_of_winners, sqrt(sum(spread_{x})) / count(*) AS error, "
            f"avg(follows_{x}) FILTER (NOT isnan(follows_{x})) AS rank_correlation, "
            f"avg((rank_{x} = 1)::INTEGER) AS most, avg((rank_{x} = 0)::INTEGER) AS least FROM facts WHERE NOT "
            f"isnan(rank_{x})",
        )
        found.append({"column": name} | told)
    return pd.DataFrame(
        found, columns=["column", "prompts", "rank_of_winners", "error", "rank_correlation", "most", "least"]
    )


def without_ambiguous(rows: Rows) -> pd.DataFrame:
    """What the population looks like with the prompts that noise decides, and without: a row per statistic."""
    db = rows.source.db
    wanted = {
        "prompts": "count(*)",
        "score of the winner": "avg(value)",
        "score of all answers": "avg(mean)",
        "what choosing gains": "avg(value - mean)",
        "margin": "avg(margin) FILTER (NOT isinf(margin))",
        "expected changes per prompt": "avg(flip_probability)",
    }
    if len(rows.models) > 1:
        wanted["pairs of models in conflict"] = "avg(conflicts)"
    for name in rows.roles.suspects:
        rank = quoted(f"rank of the winner: {name}")
        wanted[f"rank of the winner: {name}"] = f"avg({rank}) FILTER (NOT isnan({rank}))"
    parts = ", ".join(f"{sql} AS {quoted(name)}" for name, sql in wanted.items())
    all_of_them = _row(db, f"SELECT {parts} FROM report WHERE answers - left_out > 1")
    clear = _row(db, f"SELECT {parts} FROM report WHERE answers - left_out > 1 AND NOT within_noise AND NOT is_tie")
    return pd.DataFrame(
        [{"statistic": name, "all": all_of_them[name], "without_ambiguous": clear[name]} for name in wanted]
    )
