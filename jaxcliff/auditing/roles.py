"""Which column plays which part: named by the user, or recognised by its name and its cells, and always said."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

from jaxcliff.auditing.csv_files import UNNAMED
from jaxcliff.auditing.sources import Source, quoted
from jaxcliff.core.labels import brief

CONTEXTS = ("prompt", "context", "question", "instruction", "query", "input", "prompt_id", "context_id", "question_id")
ANSWERS = (
    *("completion", "response", "generation", "candidate", "output", "answer", "text", "action", "sample"),
    *("completions", "responses", "generations", "candidates", "outputs", "answers", "texts", "samples"),
    *("completion_id", "response_id", "answer_id", "sample_id", "candidate_id"),
)
MODELS = ("model", "reward_model", "rm", "scorer", "judge_model", "judge_name", "grader", "evaluator", "rater")
SCORES = ("score", "reward", "value", "rating")
STEPS = ("step", "global_step", "iteration", "train_step")
LOGPROBS = ("base_logprob", "ref_logprob", "base_logp", "ref_logp")
REWARDING = re.compile(
    r"(^|_|\b)(scores?|rewards?|judge|rm\d*|ratings?|preference|utility|reward_func|acc)(_|\b|$)", re.I
)
COUNTING = re.compile(
    r"(^|_)(id|idx|index|row|no|number|rank|seed|len|length|chars?|words?|tokens?|count|num|n)(_|$)", re.I
)
IDENTIFYING = re.compile(r"(^|_)(sha1?|sha256|md5|hash)(_|$)", re.I)
PICKING = re.compile(r"^(pick(ed|s)?|chosen|selected|best|winner)(_|$)", re.I)
ASIDE = re.compile(
    r"(^|_)(unnamed|temp|temperature|top_?[pk]|latency|time|timestamp|seconds|secs|ms|cost|price|year|date|lr|epoch|turn|"
    r"duration|logprobs?|logp|perplexity|ppl)(_|:|$)",
    re.I,
)
OTHERS = re.compile(r"(prompt|context|question|query|input|dataset|model|git|file|image|source|commit)", re.I)
ABSENT = ("<na>", "", "na", "n/a", "nan", "null", "none", "-", "nil")
SAME = "it is the same everywhere"
LOOKED_AT = 20_000  # rows, to see what a column holds


@dataclasses.dataclass(frozen=True)
class Roles:
    """The part of every column.

    Attributes:
        context, answer: what names the prompt and the answer; `answer` may be None: each row is one.
        identity: the column by which equal texts are known, `answer` itself if there is none.
        rewards: the columns of scores; of a long table, the models that `model` names.
        model, score: of a long table, the column that names the model, and that of its scores.
        step: of a training log; `advantage`: as it was logged.
        base_logprob: log-probabilities of the answers.
        suspects: columns that should not decide.
        format: what the table was recognised as.
        left_out: columns that were not taken for rewards, and why.
    """

    context: str
    answer: str | None
    identity: str | None
    rewards: tuple[str, ...]
    model: str | None = None
    score: str | None = None
    step: str | None = None
    advantage: str | None = None
    base_logprob: str | None = None
    suspects: tuple[str, ...] = ()
    format: str = "a table of answers and their scores"
    left_out: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def is_log(self) -> bool:
        """Whether it is the log of a training run."""
        return self.step is not None

    def sentences(self) -> list[str]:
        """What was taken for what."""
        said = [f"Read as {self.format}: prompts from {brief(self.context)!r}, "]
        said[0] += f"answers from {brief(self.answer)!r}" if self.answer else "every row an answer"
        if self.identity and self.identity != self.answer:
            said[0] += f" (equal where {brief(self.identity)!r} is)"
        if self.step:
            said[0] += f", steps from {brief(self.step)!r}"
        if self.model:
            said[0] += f", scores from {brief(str(self.score))!r} of the models that {brief(self.model)!r} names"
        said[0] += f". Scores: {', '.join(map(brief, self.rewards))}."
        if self.left_out:
            why = ", ".join(f"{brief(name)!r} ({reason})" for name, reason in self.left_out.items())
            said.append(f"Not taken for scores: {why}. Name what should be (--rewards).")
        return said


def number_of(column: str, source: Source) -> str:
    """SQL: the cell as a number, NULL if it is none."""
    cell = quoted(column)
    if source.is_number(column):
        return f"CAST({cell} AS DOUBLE)"
    odd = f"{cell} LIKE '%\\_%' ESCAPE '\\'"  # 1_000 is a number to the engine
    plain = f"TRY_CAST(CASE WHEN {absent(column, source)} OR {odd} THEN NULL ELSE trim({cell}) END AS DOUBLE)"
    return f"(CASE lower(trim({cell})) WHEN 'true' THEN 1.0 WHEN 'false' THEN 0.0 ELSE {plain} END)"


def absent(column: str, source: Source) -> str:
    """SQL: whether the cell holds nothing."""
    cell = quoted(column)
    if source.is_number(column):
        return f"({cell} IS NULL)"
    marks = ", ".join(f"'{mark}'" for mark in ABSENT)
    return f"({cell} IS NULL OR lower(trim({cell})) IN ({marks}))"


def roles_of(
    source: Source,
    *,
    context: str | None = None,
    answer: str | None = None,
    rewards: Sequence[str] | None = None,
    model: str | None = None,
    group: str | None = None,
    base_logprob: str | None = None,
    suspects: Sequence[str] = (),
) -> Roles:
    """The roles that are named, and those that names and cells suggest."""
    names = list(source.types)
    if not source.db.execute("SELECT 1 FROM source LIMIT 1").fetchone():
        raise ValueError(f"{source.name} has no rows{' below its header' if source.kind == 'csv' else ''}")
    named = {"context": context, "answer": answer, "model": model, "group": group, "base-logprob": base_logprob}
    for what, name in [*named.items(), *(("suspect", name) for name in suspects)]:
        _must_be_there(name, names, what)
    for name in rewards or ():
        if list(rewards or ()).count(name) > 1:
            raise ValueError(f"{brief(name)!r} is named twice (--rewards)")
    by_name = {name.strip().lower(): name for name in reversed(names)}
    taken = {name for name in (*named.values(), *suspects, *(rewards or ())) if name is not None}

    def first(candidates: Sequence[str]) -> str | None:
        return next((by_name[c] for c in candidates if c in by_name and by_name[c] not in taken), None)

    verl = {"input", "output", "score"} <= set(by_name)
    trl = {"prompt", "completion", "advantage"} <= set(by_name)
    context = context or ("input" if verl and context is None and "input" in names else first(CONTEXTS))
    if context is None:
        listed = ", ".join(repr(brief(name)) for name in names)
        raise ValueError(
            f"which column of {source.name} names the prompt? Say it (context=; --context); it has {listed}"
        )
    taken.add(context)
    answer = answer or first(ANSWERS)
    if answer is not None:
        taken.add(answer)
    step = group or (first(STEPS) if (verl or trl or "advantage" in by_name) else None)
    advantage = first(("advantage", "advantages")) if step is not None else None
    base_logprob = base_logprob or first(LOGPROBS)
    identity = next((n for n in names if _identifies(source, n, context) and n not in taken), answer)
    taken |= {name for name in (step, advantage, base_logprob, identity) if name is not None}
    what = "a table of answers and their scores"
    if step is not None:
        what = "verl's rollout dump" if verl else "TRL's log of completions" if trl else "the log of a training run"
    parts: dict[str, Any] = {"context": context, "answer": answer, "identity": identity, "step": step}
    parts |= {"advantage": advantage, "base_logprob": base_logprob, "suspects": tuple(suspects), "format": what}
    if model is None and (rewards is None or not set(rewards) <= set(names)):
        model = first(MODELS)
        if model is not None and (first(SCORES) is None or not _names_scorers(source, model, context, answer)):
            model = None
    if model is None:
        for name in rewards or ():
            _must_be_there(name, names, "rewards")
    if model is not None:
        score = rewards[0] if rewards and len(rewards) == 1 and rewards[0] in names else first(SCORES)
        if score is None:
            raise ValueError(
                f"{brief(model)!r} names models; which column has their scores? Say it (rewards=; --rewards)"
            )
        return _long(source, model, score, None if rewards and rewards[0] == score else rewards, parts)
    if rewards is not None:
        if not rewards:
            raise ValueError("name at least one column of scores (rewards=; --rewards)")
        return Roles(rewards=tuple(rewards), **parts)
    found, left_out = _scores_among(source, [name for name in names if name not in taken], log=step is not None)
    if verl and step is not None:
        left_out |= {name: "verl trains on the score" for name in found if name != by_name["score"]}
        left_out.pop(by_name["score"], None)
        found = [by_name["score"]]
    if not found:
        why = ", ".join(f"{brief(name)!r} ({reason})" for name, reason in left_out.items())
        raise ValueError(
            f"no column of {source.name} was taken for scores{': ' + why if why else ''}; name those that are "
            "(rewards=; "
            "--rewards)"
        )
    return Roles(rewards=tuple(found), left_out=left_out, **parts)


def _identifies(source: Source, column: str, context: str) -> bool:
    """Whether a column of hashes is one of answers: called so, and different within prompts."""
    if not IDENTIFYING.search(column) or OTHERS.search(column):
        return False
    cells = f"SELECT {quoted(context)} AS c, {quoted(column)} AS h FROM source LIMIT {LOOKED_AT}"
    prompts, pairs = source.db.execute(f"SELECT count(DISTINCT c), count(DISTINCT (c, h)) FROM ({cells})").fetchone()
    return bool(pairs > prompts)


def _names_scorers(source: Source, model: str, context: str, answer: str | None) -> bool:
    """Whether several models score one answer: else the column says who wrote it."""
    if answer is None:
        return True
    group = f"{quoted(context)}, {quoted(answer)}"
    several = f"GROUP BY {group} HAVING count(DISTINCT {quoted(model)}) > 1 LIMIT 1"
    return source.db.execute(f"SELECT 1 FROM source {several}").fetchone() is not None


def _must_be_there(name: str | None, names: list[str], what: str) -> None:
    if name is not None and name not in names:
        listed = ", ".join(repr(brief(each)) for each in names)
        raise ValueError(f"there is no column {name!r} (--{what}); there are {listed}")


def _scores_among(source: Source, names: list[str], *, log: bool) -> tuple[list[str], dict[str, str]]:
    """The columns of scores, and why others are none.

    Columns that are called scores are taken, and others then are not; in the log of a training run, all numbers are
    rewards but those that count something.
    """
    numeric, left_out = [], {}
    for name in names:
        number, none = number_of(name, source), absent(name, source)
        told = f"SELECT count(*) FILTER (NOT {none}), count({number}), count(DISTINCT {number}) FROM "
        filled, numbers, distinct = source.db.execute(
            f"{told} (SELECT {quoted(name)} FROM source LIMIT {LOOKED_AT})"
        ).fetchone()
        if numbers < 2 or distinct < 2 or numbers < filled / 2:  # what the first rows say against it, all have to say
            filled, numbers, distinct = source.db.execute(f"{told} source").fetchone()
        if not filled:
            left_out[name] = "it is empty"
        elif numbers < filled / 2:
            left_out[name] = "it is text"
        elif name.strip() in ("", UNNAMED):
            left_out[name] = "it has no name"
        elif PICKING.search(name.strip()):
            left_out[name] = "it marks a choice"
        elif COUNTING.search(name.strip()) and not REWARDING.search(name.strip()):
            left_out[name] = "it counts or numbers something"
        elif ASIDE.search(name.strip()) and not REWARDING.search(name.strip()):
            left_out[name] = "it is called a setting or a measurement"
        elif distinct == 1 and numbers == filled and not log:
            left_out[name] = SAME
        else:
            numeric.append(name)
    if not numeric:  # a table whose scores are all the same is one of ties
        numeric = [n for n, why in left_out.items() if why == SAME and REWARDING.search(n.strip())]
        left_out = {name: why for name, why in left_out.items() if name not in numeric}
    called = [name for name in numeric if REWARDING.search(name.strip())]
    if called and not log:
        left_out |= {name: "it is not called a score" for name in numeric if name not in called}
        numeric = called
    return numeric, {name: left_out[name] for name in names if name in left_out}


def _long(source: Source, model: str, score: str, wanted: Sequence[str] | None, parts: dict[str, Any]) -> Roles:
    cell = quoted(model)
    rows = source.db.execute(
        f"SELECT CAST({cell} AS VARCHAR) AS m FROM source WHERE NOT {absent(model, source)} GROUP BY m ORDER "
        "BY m LIMIT 65"
    ).fetchall()
    found = tuple(row[0] for row in rows)
    if len(found) > 64:
        raise ValueError(f"the column {brief(model)!r} names more than 64 models; is it the name of the answer?")
    if len({name.lower() for name in found}) < len(found):
        raise ValueError(f"{brief(model)!r} names models that differ in case only: {', '.join(map(brief, found))}")
    for name in wanted or ():
        if name not in found:
            raise ValueError(f"{brief(model)!r} names no model {name!r}; it names {', '.join(map(brief, found))}")
    return Roles(rewards=tuple(wanted or found), model=model, score=score, **parts)
