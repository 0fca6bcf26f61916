"""From a table of any order to prompts with their answers: grouped, merged, counted, handed out in padded batches."""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxcliff.auditing import cells
from jaxcliff.auditing.resolution import step_of
from jaxcliff.auditing.roles import Roles
from jaxcliff.auditing.sources import Source
from jaxcliff.core.labels import brief

DISTINCT = 200_000  # values that are looked at for the resolution of a column
CELLS = 2**16  # answers of a batch, padding included: with the width it makes the shape of a program
SPARED = 2**16  # empty places that cost less than a program of their own
CHUNK = 2**18  # rows that are fetched at a time


@dataclasses.dataclass(frozen=True)
class Batch:
    """Some prompts with as many places for answers: [P, W, …]; the last ones may be empty.

    Attributes:
        gids: the numbers of the prompts, −1 for padding; in order of appearance.
        present: which places hold an answer; scores: [P, W, M], NaN where one is missing.
        times: how often the answer is in the table; again: how often it was scored after the first time.
        logs: log-probabilities of the base policy, or None; suspects: [P, W, X].
    """

    gids: np.ndarray
    present: np.ndarray
    scores: np.ndarray
    times: np.ndarray
    again: np.ndarray
    logs: np.ndarray | None
    suspects: np.ndarray


@dataclasses.dataclass(frozen=True)
class Rows:
    """The table as prompts and answers, in the tables `names` and `answers` of the engine.

    Attributes:
        sizes: distinct answers per prompt.
        count: rows of the table; empty: cells without a score per model; merged: rows that repeat an answer.
        resolution: the step in which the scores of each model are written, 0 if there is none.
        spread: the standard deviation within prompts, per model.
        repeated: the standard deviation of repeated scores of one answer, NaN where nothing was scored twice;
        freedom: from how many degrees of freedom.
    """

    source: Source
    roles: Roles
    sizes: np.ndarray
    count: int
    empty: np.ndarray
    merged: int
    resolution: np.ndarray
    spread: np.ndarray
    repeated: np.ndarray
    freedom: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the reward models."""
        return self.roles.rewards

    def batches(self) -> Iterator[Batch]:
        """All prompts, in batches of few shapes: as many places as a power of two, as many prompts as fill a batch."""
        widths = widths_of(self.sizes)
        most = {int(w): min(max(1, CELLS // int(w)), 1 << (int(n) - 1).bit_length()) for w, n in _counts(widths)}
        again = f"least({', '.join(f'df{k}' for k in range(len(self.models)))}) AS again"
        columns = [
            "gid",
            "times",
            again,
            *self._scores,
            *self._suspects,
            *(["logp"] if self.roles.base_logprob else []),
        ]
        ends = np.cumsum(self.sizes)
        cuts = np.searchsorted(ends, np.arange(CHUNK, ends[-1] + CHUNK, CHUNK), side="left") + 1
        waiting: dict[int, list[Any]] = {}
        start = 0
        for stop in np.unique(np.minimum(cuts, len(self.sizes))).tolist():
            fetched = self.source.db.execute(
                f"SELECT {', '.join(columns)} FROM answers WHERE gid >= {start} AND gid < {stop} ORDER BY gid, row"
            ).fetchnumpy()
            table = np.stack(
                [np.ma.filled(fetched[name.split()[-1]].astype(np.float64), np.nan) for name in columns[1:]], axis=1
            )
            sizes = self.sizes[start:stop]
            offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]])
            for width in np.unique(widths[start:stop]).tolist():
                at = np.flatnonzero(widths[start:stop] == width)
                place = np.arange(width) < sizes[at, None]
                cells = np.full((len(at), width, table.shape[1]), np.nan)
                cells[place] = table[(offsets[at, None] + np.arange(width))[place]]
                waiting.setdefault(width, []).append((start + at, place, cells))
                yield from self._full(waiting, width, most[width])
            start = stop
        for width in list(waiting):
            yield from self._full(waiting, width, most[width], last=True)

    @property
    def _scores(self) -> list[str]:
        return [f"s{k}" for k in range(len(self.models))]

    @property
    def _suspects(self) -> list[str]:
        return [f"x{k}" for k in range(len(self.roles.suspects))]

    def spread_of_suspect(self, index: int) -> float:
        """The standard deviation of a suspect column within prompts."""
        x = self._suspects[index]
        told = self.source.db.execute(
            f"SELECT sqrt(sum(v * (n - 1)) / nullif(sum(n - 1), 0)) FROM (SELECT coalesce(var_samp({x}), 0) AS v, "
            f"greatest(count({x}), 1) AS n FROM answers GROUP BY gid)"
        ).fetchone()[0]
        if not told:
            raise ValueError(
                f"{brief(self.roles.suspects[index])} never tells answers apart: no errors are alike by it"
            )
        return float(told)

    def _full(self, waiting: dict[int, list[Any]], width: int, most: int, *, last: bool = False) -> Iterator[Batch]:
        held = sum(len(gids) for gids, _, _ in waiting[width])
        if held < most and not (last and held):
            return
        gids, place, cells = (np.concatenate(parts) for parts in zip(*waiting[width], strict=True))
        whole = len(gids) if last else len(gids) // most * most
        waiting[width] = [(gids[whole:], place[whole:], cells[whole:])]
        for start in range(0, whole, most):
            part = slice(start, min(start + most, whole))
            yield self._batch(gids[part], place[part], cells[part], most)

    def _batch(self, gids: np.ndarray, place: np.ndarray, cells: np.ndarray, most: int) -> Batch:
        missing = most - len(gids)
        gids = np.concatenate([gids, np.full(missing, -1)])
        place = np.pad(place, ((0, missing), (0, 0)))
        cells = np.pad(cells, ((0, missing), (0, 0), (0, 0)), constant_values=np.nan)
        models, suspects = len(self.models), len(self.roles.suspects)
        return Batch(
            gids=gids,
            present=place,
            times=np.where(place, cells[..., 0], 0),
            again=np.where(place, cells[..., 1], 0),
            scores=cells[..., 2 : 2 + models],
            suspects=cells[..., 2 + models : 2 + models + suspects],
            logs=cells[..., -1] if self.roles.base_logprob else None,
        )


def _counts(widths: np.ndarray) -> Iterator[tuple[int, int]]:
    yield from zip(*np.unique(widths, return_counts=True), strict=True)


def widths_of(sizes: np.ndarray) -> np.ndarray:
    """How many places each prompt gets: a power of two, or the next one that is in use where that costs little.

    >>> import numpy as np
    >>> widths_of(np.array([3, 1, 8, 7])), widths_of(np.array([2, 100_000]))
    (array([8, 8, 8, 8]), array([     2, 131072]))
    """
    widths = np.maximum(2, 1 << np.ceil(np.log2(np.maximum(sizes, 1))).astype(int))
    used = np.unique(widths)
    for narrow, wide in itertools.pairwise(used.tolist()):
        own = widths == narrow
        if own.sum() * (wide - narrow) <= SPARED:
            widths[own] = wide
    return widths


def load(source: Source, roles: Roles, *, missing: str = "drop", chosen: bool = True, scale: str = "raw") -> Rows:
    """Reads the table once, checks every cell that counts, and groups it.

    With `chosen`, the columns of scores were named by the user: one that never tells answers apart stays. On the scale
    "logit" scores are log-odds from here on; those at an end of it are taken half-way to the nearest score that is not.
    """
    db = source.db
    cells.read(source, roles, scale)
    long = roles.model is not None
    group = "step, hi, lo" if roles.is_log else "hi, lo"
    db.execute(
        f"CREATE TABLE names AS SELECT (row_number() OVER (ORDER BY first) - 1)::INTEGER AS gid, * FROM ("
        f"SELECT {group}, min(row) AS first, min_by(context, row) AS prompt FROM cells GROUP BY {group})"
    )
    models = range(len(roles.rewards))
    kinds = [f"FILTER (m = {k})" if long else "" for k in models]
    score = [f"s{0 if long else k}" for k in models]
    often = [f"count(s0) FILTER (m = {k})" for k in models] if long else ["count(*)"]
    parts = ["gid", "min(row) AS row", f"greatest({', '.join(often)}, 1) AS times", "min_by(label, row) AS label"]
    for k in models:
        x, of = score[k], kinds[k]
        same = f"min({x}) {of} = max({x}) {of}"  # a mean of equal numbers is that number
        parts.append(f"CASE WHEN {same} THEN min({x}) {of} ELSE avg({x}) {of} END AS s{k}")
        parts.append(f"CASE WHEN count({x}) {of} > 1 THEN var_samp({x}) {of} * (count({x}) {of} - 1) END AS ss{k}")
        parts.append(f"greatest(count({x}) {of} - 1, 0) AS df{k}")
    parts += [f"avg(x{k}) AS x{k}" for k in range(len(roles.suspects))]
    parts += ["max(logp) AS logp"] if roles.base_logprob else []
    on = "names.hi = cells.hi AND names.lo = cells.lo" + (" AND names.step = cells.step" if roles.is_log else "")
    db.execute(
        "CREATE TABLE answers AS SELECT *, (row_number() OVER (PARTITION BY gid ORDER BY row) - 1)::INTEGER AS "
        "place FROM ("
        f"SELECT {', '.join(parts)} FROM (SELECT gid, cells.* FROM cells JOIN names ON {on}) GROUP BY gid, key"
        ") ORDER BY gid, row"
    )
    roles = _tell_apart(db, roles, chosen)
    return _counted(source, roles, missing)


def _tell_apart(db: Any, roles: Roles, chosen: bool) -> Roles:
    """Leaves out columns that nobody named and that are the same for all answers of every prompt."""
    if chosen or roles.model or roles.is_log:  # a trainer adds up what never changes, too
        return roles
    spans = ", ".join(f"max(b{k} - a{k})" for k in range(len(roles.rewards)))
    ends = ", ".join(f"min(s{k}) AS a{k}, max(s{k}) AS b{k}" for k in range(len(roles.rewards)))
    widest = db.execute(f"SELECT {spans} FROM (SELECT {ends} FROM answers GROUP BY gid)").fetchone()
    telling = [k for k, span in enumerate(widest) if span is not None and span > 0]
    if not telling or len(telling) == len(widest):
        return roles
    left_out = dict(roles.left_out)
    left_out |= {
        roles.rewards[k]: "it is the same for all answers of every prompt"
        for k in range(len(widest))
        if k not in telling
    }
    for new, old in enumerate(telling):
        if new != old:
            for part in ("s", "ss", "df"):
                db.execute(f"ALTER TABLE answers DROP COLUMN {part}{new}")
                db.execute(f"ALTER TABLE answers RENAME COLUMN {part}{old} TO {part}{new}")
            db.execute(f"ALTER TABLE cells DROP COLUMN s{new}")
            db.execute(f"ALTER TABLE cells RENAME COLUMN s{old} TO s{new}")
    rewards = tuple(roles.rewards[k] for k in telling)
    return dataclasses.replace(roles, rewards=rewards, left_out=left_out)


def _counted(source: Source, roles: Roles, missing: str) -> Rows:
    db, models = source.db, range(len(roles.rewards))
    sizes = db.execute("SELECT count(*) AS n FROM answers GROUP BY gid ORDER BY gid").fetchnumpy()["n"].astype(int)
    count = db.execute("SELECT count(*) FROM cells").fetchone()[0]
    parts = []
    for k in models:
        parts += [f"count(*) - count(s{k})", f"sum(ss{k})", f"sum(df{k})", f"min(s{k})", f"max(s{k})"]
    row = np.array(db.execute(f"SELECT {', '.join(parts)} FROM answers").fetchone(), object).reshape(-1, 5)
    freedom = np.array([float(x or 0) for x in row[:, 2]])
    squares = np.array([float(x or 0) for x in row[:, 1]])
    if roles.model:
        empty = np.array([int(x) for x in row[:, 0]])
    else:
        nulls = ", ".join(f"count(*) - count(s{k})" for k in models)
        empty = np.array(db.execute(f"SELECT {nulls} FROM cells").fetchone(), int)
    for k in models:
        if row[k, 3] is None:
            raise ValueError(f"{brief(roles.rewards[k])} has no score at all")
    if missing == "error" and empty.any():
        k = int(empty.argmax())
        at = db.execute(f"SELECT min(row) FROM {'answers' if roles.model else 'cells'} WHERE s{k} IS NULL").fetchone()[
            0
        ]
        raise ValueError(
            f"{source.where(at)}: {brief(roles.rewards[k])} is missing ({empty[k]:,} cells are); --missing drop leaves "
            "such answers out"
        )
    within = ", ".join(f"sum(v{k} * (n{k} - 1)) / nullif(sum(n{k} - 1), 0)" for k in models)
    own = ", ".join(f"coalesce(var_samp(s{k}), 0) AS v{k}, greatest(count(s{k}), 1) AS n{k}" for k in models)
    spread = np.array(db.execute(f"SELECT {within} FROM (SELECT {own} FROM answers GROUP BY gid)").fetchone(), object)
    return Rows(
        source=source,
        roles=roles,
        sizes=sizes,
        count=count,
        empty=empty,
        merged=0 if roles.model else count - int(sizes.sum()),
        # means of several scores lie between the steps in which one is written
        resolution=np.array([0.0 if squares[k] > 0 else _resolution(db, k) for k in models]),
        spread=np.sqrt(np.array([float(x or 0) for x in spread])),
        repeated=np.where(freedom > 0, np.sqrt(squares / np.maximum(freedom, 1)), np.nan),
        freedom=freedom.astype(int),
        lowest=row[:, 3].astype(float),
        highest=row[:, 4].astype(float),
    )


def _resolution(db: Any, k: int) -> float:
    # answers that were scored several times have means, which are finer than what was written
    values = db.execute(
        f"SELECT DISTINCT s{k} AS x FROM answers WHERE s{k} IS NOT NULL AND (ss{k} IS NULL OR ss{k} = 0) LIMIT "
        f"{DISTINCT}"
    ).fetchnumpy()["x"]
    return step_of(np.asarray(values, float))
