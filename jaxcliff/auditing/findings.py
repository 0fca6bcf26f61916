"""The audit of a table of scores, or of the log of a training run: prompt by prompt, and over all of them."""

import collections
import concurrent.futures
import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from tqdm import tqdm

from jaxcliff.auditing import population, tables, words
from jaxcliff.auditing.facts import LEVELS, facts
from jaxcliff.auditing.noise import Noise, noise_of
from jaxcliff.auditing.pictures import to_dataset
from jaxcliff.auditing.resolution import common_step
from jaxcliff.auditing.roles import Roles, roles_of
from jaxcliff.auditing.rows import Batch, Rows, load
from jaxcliff.auditing.sources import opened
from jaxcliff.auditing.training import Training, training_of
from jaxcliff.core import checks
from jaxcliff.core.devices import cores, float64
from jaxcliff.core.labels import brief
from jaxcliff.core.types import DataFrame, Dataset, NumbersLike, TableLike

SCALES = ("raw", "logit")


@dataclasses.dataclass
class Audit:
    """What an audit found.

    Attributes:
        roles, noise, weights, budget, best_of, scale: under which assumptions.
        rows: the table, grouped; open only inside `audited`.
        flips: the expected number of prompts whose winner changes, at `levels` times the noise.
        kept: of three models, how many prompts keep their winner under the weights of `population.triangle()`.
        conflicts: a row per pair of models.
        suspects: a row per suspect column.
        population: a row per statistic, of all prompts, and without those that noise decides.
        numbers: what the summary says, by name.
        training: of a log, what trainers make of its scores.
        data: what the figures draw, a dataset.
        prompts: a row per prompt, the most fragile first; `breakpoints`, a row per change of a winner along an edge.
    """

    roles: Roles
    noise: Noise
    weights: np.ndarray
    budget: float
    best_of: int
    scale: str
    rows: Rows
    levels: np.ndarray
    flips: np.ndarray
    kept: np.ndarray | None
    conflicts: pd.DataFrame
    suspects: pd.DataFrame
    population: pd.DataFrame
    numbers: dict[str, Any]
    training: Training | None
    data: Any = None
    prompts: Any = None
    breakpoints: Any = None

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the reward models."""
        return self.roles.rewards

    def summary(self) -> str:
        """The findings in plain words."""
        return words.summary(self)

    def to_dataset(self) -> Dataset:
        """What the figures of `jc.figures` draw: fragility, margins, winners_over_weights, conflicts, advantages."""
        return self.data

    def to_dataframe(self) -> DataFrame:
        """The prompts, the most fragile first."""
        return self.prompts

    def __repr__(self) -> str:
        prompts, answers = self.numbers["prompts"], self.numbers["answers"]
        return f"Audit({prompts:,} prompts, {answers:,} answers, {len(self.models)} models)"


def audit(
    table: TableLike,
    *,
    context: str | None = None,
    answer: str | None = None,
    rewards: Sequence[str] | str | None = None,
    model: str | None = None,
    weights: Mapping[str, float] | Sequence[float] | None = None,
    base_logprob: str | None = None,
    group: str | None = None,
    suspect: Sequence[str] | str = (),
    noise: NumbersLike | Mapping[str, float] | str | None = None,
    correlation: float = 0.0,
    correlated: str | None = None,
    seed: int = 0,
    budget: float = 0.1,
    best_of: int = 4,
    scale: str = "raw",
    tie_tolerance: float | None = None,
    missing: str = "drop",
) -> Audit:
    """Audits a table of scores: which answers noise decides, which models conflict, which prompts to look at first.

    Args:
        table: a file, folder or pattern (.csv, .tsv, .jsonl, .json, .parquet, .arrow), several of them, a data frame,
            columns by name, or a list of rows. One row per answer, with a column per reward model; or one per answer
            and model, with a column that names the model.
        context, answer: the columns that name the prompt and the answer; recognised by their names if not given.
        rewards: the columns of scores; of a long table, the models that count, or the column of scores.
        model: of a long table, the column that names the model.
        weights: of the models; equal if not given. Of a training log they are the trainer's, 1 each if not given.
        base_logprob: the column of log-probabilities; without one, answers are as likely as they are frequent.
        group: of a training log, the column of steps.
        suspect: columns that should not decide, such as a length.
        noise: standard deviations of the scores, one or one per model; "repeated", from answers that were scored twice
            (taken where there are enough of them); "disagreement", guessed from how far models are apart.
        correlation: of the errors of two answers to one prompt. What they share changes no winner: √(1 − ρ) is left.
        correlated: a column, such as a length: errors are the more alike the nearer answers are in it, up to
            `correlation`. Their flips are drawn, from `seed`, and have a standard error; all else is exact.
        budget: the total variation by which answers may move when scores err by two standard deviations.
        best_of: the N of best-of-N.
        scale: "raw", scores are mixed as they are; "logit", as log-odds.
        tie_tolerance: gaps of the mixture up to this are ties; if not given, half of the step in which mixtures of the
            written scores lie, which is rounding.
        missing: "drop" leaves answers without a score out, and says how many; "error" refuses them.

    >>> import jaxcliff as jc
    >>> table = {"prompt": ["a", "a", "b", "b"], "answer": ["x", "y", "x", "y"], "score": [1.0, 0.5, 0.0, 0.0]}
    >>> found = jc.audit(table, noise=0.1)
    >>> found
    Audit(2 prompts, 4 answers, 1 models)
    >>> found.prompts[["prompt", "winner", "margin", "tied"]].values.tolist()
    [['a', 'x', 0.5, 1], ['b', 'x', 0.0, 2]]
    """
    options = {name: value for name, value in locals().items() if name != "table"}
    with audited(table, **options) as found:
        found.prompts = found.rows.source.db.execute("SELECT * FROM report").df()
        found.breakpoints = found.rows.source.db.execute("SELECT * FROM weights_report").df()
        if found.training is not None:
            found.training.groups = found.rows.source.db.execute("SELECT * FROM groups_report").df()
    return found


@contextlib.contextmanager
def audited(
    table: Any, *, say: Callable[[str], None] | None = None, suspect: Any = (), rewards: Any = None, **options: Any
) -> Iterator[Audit]:
    """The same, its tables still in the engine (`report`, `weights_report`, `groups_report`): for those too large."""
    suspects = (suspect,) if isinstance(suspect, str) else tuple(suspect or ())
    column = options.get("correlated")
    suspects = suspects if column is None else (*(name for name in suspects if name != column), column)
    rewards = (rewards,) if isinstance(rewards, str) else None if rewards is None else tuple(rewards)
    budget, best_of = _checked(options)
    named = {name: options.get(name) for name in ("context", "answer", "model", "group", "base_logprob")}
    with opened(table) as source, float64():
        roles = roles_of(source, rewards=rewards, suspects=suspects, **named)
        rows = load(
            source, roles, missing=options.get("missing", "drop"), chosen=rewards is not None, scale=options["scale"]
        )
        if say is not None:
            for sentence in (*rows.roles.sentences(), *source.notes):
                say(sentence)
        weights = _weights(options.get("weights"), rows.models)
        given = options.get("weights") is not None
        noise = noise_of(rows, weights / weights.sum(), options.get("noise"))
        if options["correlation"] and column is None:
            noise = noise.without_shared(options["correlation"])
        found = _computed(rows, weights / weights.sum(), noise, budget, best_of, options)
        if rows.roles.is_log:
            found.training = training_of(rows, weights if given else np.ones(len(weights)), given)
        found.data = to_dataset(found)
        yield found


def _checked(options: dict[str, Any]) -> tuple[float, int]:
    budget, best_of = (
        checks.number(options.get("budget", 0.1), "budget"),
        checks.whole(options.get("best_of", 4), "best_of", 1),
    )
    options.setdefault("scale", "raw")
    if not 0 < budget < 1:
        raise ValueError(f"the budget is a total variation between 0 and 1, not {budget:g}")
    for name, known in (("scale", SCALES), ("missing", ("drop", "error"))):
        if options.get(name, known[0]) not in known:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, not {checks.shown(options[name])}")
    rho = options["correlation"] = checks.number(options.get("correlation", 0.0), "correlation")
    options["seed"] = checks.whole(options.get("seed", 0), "seed")
    if not 0 <= rho < 1:
        raise ValueError(f"the correlation is a number from 0 to 1, but 1, not {rho:g}")
    if options.get("correlated") is not None and not rho:
        raise ValueError("errors that are alike along a column need a correlation (correlation=; --correlation)")
    tie = options.get("tie_tolerance")
    if tie is not None and not 0 <= checks.number(tie, "tie_tolerance") < np.inf:
        raise ValueError(f"tie_tolerance must be finite and not negative, not {tie:g}")
    return budget, best_of


def _weights(given: Any, names: tuple[str, ...]) -> np.ndarray:
    if given is None:
        return np.full(len(names), 1 / len(names))
    if isinstance(given, Mapping):
        for name in given:
            if name not in names:
                raise ValueError(f"weights: there is no model {name!r}; there are {', '.join(map(brief, names))}")
        given = [given.get(name, 0.0) for name in names]
    found = np.asarray(checks.numbers(given, "weights"), float)
    if found.shape != (len(names),):
        raise ValueError(
            f"weights: one number per model, {len(names)} ({', '.join(map(brief, names))}), not {found.size}"
        )
    if not (np.isfinite(found) & (found >= 0)).all() or not 0 < found.sum() < 1e100:
        raise ValueError("weights are finite, not negative, and not all 0; turn a column's sign round instead")
    return found


def _largest(rows: Rows) -> np.ndarray:
    return np.maximum(np.abs(rows.lowest), np.abs(rows.highest))


def _along(rows: Rows, options: dict[str, Any]) -> tuple[float, float] | None:
    """(correlation, length) of errors that are alike along a column, which is the last suspect; None if none are."""
    if options.get("correlated") is None:
        return None
    last = len(rows.roles.suspects) - 1
    row = rows.source.db.execute(f"SELECT min(row) FROM cells WHERE x{last} IS NULL").fetchone()[0]
    if row is not None:
        where = rows.source.where(row)
        raise ValueError(f"{where}: {brief(options['correlated'])} is missing; errors along it need it")
    return options["correlation"], rows.spread_of_suspect(-1)


def _over_cores(said_of: Callable[[Batch], Any], batches: Iterator[Batch]) -> Iterator[tuple[Batch, Any]]:
    """All batches in turn, a few of them worked on at a time; the first of a shape alone, as it is compiled."""

    def apart(batch: Batch) -> Any:
        with float64():  # which other threads do not inherit
            return said_of(batch)

    seen: set[tuple[int, ...]] = set()
    waiting: collections.deque[tuple[Batch, Any]] = collections.deque()
    with concurrent.futures.ThreadPoolExecutor(cores()) as pool:
        for batch in batches:
            waiting.append((batch, pool.submit(apart, batch)))
            if batch.present.shape not in seen:
                seen.add(batch.present.shape)
                concurrent.futures.wait([waiting[-1][1]])
            if len(waiting) > cores():
                done, future = waiting.popleft()
                yield done, future.result()
        for done, future in waiting:
            yield done, future.result()


def _computed(
    rows: Rows, weights: np.ndarray, noise: Noise, budget: float, best_of: int, options: dict[str, Any]
) -> Audit:
    """Goes over all prompts once, and over what was found once more."""
    ties = rows.resolution / 2 + 8 * np.finfo(float).eps * _largest(rows)
    tie = common_step(weights, rows.resolution) / 2 + float(8 * np.finfo(float).eps * (weights * _largest(rows)).sum())
    if options.get("tie_tolerance") is not None:
        tie = float(options["tie_tolerance"])
    inside = (rows.lowest >= 0).all() and (rows.highest <= 1).all() and options["scale"] == "raw"
    both = bool(inside and (rows.resolution < 0.5).all())
    db = rows.source.db
    curve, kept = np.zeros(len(LEVELS)), None
    several = len(rows.models) > 1
    grid = population.triangle() if len(rows.models) == 3 else None
    if grid is not None:
        kept = np.zeros(len(grid))
    given = tuple(jnp.asarray(x) for x in (weights, ties, tie, noise.mixed, rows.spread))
    along = _along(rows, options)
    key = jax.random.key(options["seed"])
    bar = tqdm(total=len(rows.sizes), unit=" prompts", disable=None, delay=2, leave=False)

    def said_of(batch: Batch) -> dict[str, Any]:
        arrays = (batch.present, batch.scores, batch.times, batch.again, batch.logs, batch.suspects)
        alike: tuple[Any, ...] | None = None
        if along is not None:
            keys = jax.vmap(lambda gid: jax.random.fold_in(key, gid))(jnp.asarray(batch.gids.astype(np.uint32)))
            alike = (keys, *map(jnp.asarray, along))
        return jax.block_until_ready(facts(arrays, *given, alike, budget=budget, best_of=best_of, both=both))

    for batch, found in _over_cores(said_of, rows.batches()):
        own = batch.gids >= 0
        bar.update(int(own.sum()))
        told = pd.DataFrame({"gid": batch.gids[own]} | {k: np.asarray(v)[own] for k, v in found["told"].items()})
        tables.append(db, "facts", told)
        curve += np.asarray(found["curve"], float)[:, own].sum(axis=1)
        if several:
            there = np.asarray(found["there"])
            crossed = population.breakpoints(
                batch.gids, np.asarray(batch.scores), there & np.isfinite(batch.scores).all(-1)
            )
            tables.append(db, "crossings", pd.DataFrame(crossed._asdict()))
        if grid is not None and kept is not None:
            whole = jnp.where(jnp.isfinite(batch.scores), batch.scores, 0)
            full = found["there"] & np.isfinite(batch.scores).all(axis=-1)
            kept += np.asarray(population.kept_over_the_triangle(whole, full, found["told"]["winner"], grid))
    bar.close()
    tables.report(rows, weights, noise, tie)
    numbers = tables.numbers(rows, weights, noise, tie, both)
    return Audit(
        roles=rows.roles,
        noise=noise,
        weights=weights,
        budget=budget,
        best_of=best_of,
        scale=options["scale"],
        rows=rows,
        levels=LEVELS * noise.mixed,
        flips=curve,
        kept=kept,
        conflicts=tables.conflicts(rows),
        suspects=tables.suspects(rows),
        population=tables.without_ambiguous(rows),
        numbers=numbers,
        training=None,
    )
