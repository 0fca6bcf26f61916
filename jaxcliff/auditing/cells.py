"""Every cell that counts, read once: texts as keys, scores as numbers, and a sentence for what is neither."""

from jaxcliff.auditing.roles import Roles, absent, number_of
from jaxcliff.auditing.sources import Source, quoted
from jaxcliff.core.labels import brief, many

LARGEST = 1e100  # of a score: squares of larger ones have no room
LABEL = 200  # characters of an answer that are kept


def read(source: Source, roles: Roles, scale: str) -> None:
    """Makes the table `cells`, a row per row of the source."""
    source.db.execute(f"CREATE TABLE cells AS SELECT {', '.join(_columns(source, roles))} FROM source")
    _check(source, roles)
    if scale == "logit":
        _to_log_odds(source, roles)


def _columns(source: Source, roles: Roles) -> list[str]:
    context = f"CAST({quoted(roles.context)} AS VARCHAR)"
    parts = ["row_number() OVER () - 1 AS row", f"md5_number_upper({context}) AS hi, md5_number_lower({context}) AS lo"]
    parts.append(f"{context} AS context")
    numbered = "'row ' || (row_number() OVER () - 1)"
    label = f"CAST({quoted(roles.answer)} AS VARCHAR)" if roles.answer else numbered
    label = f"CASE WHEN trim({label}) = '' OR {label} IS NULL THEN '(empty)' ELSE {label} END"
    parts.append(f"CASE WHEN length({label}) > {LABEL} THEN left({label}, {LABEL}) || '…' ELSE {label} END AS label")
    known = [
        f"nullif(CAST({quoted(name)} AS VARCHAR), '')" for name in dict.fromkeys((roles.identity, roles.answer)) if name
    ]
    # a row whose answer has no text is an answer of its own
    parts.append(f"md5_number_lower(coalesce({', '.join([*known, numbered])})) AS key")
    columns = [roles.score] if roles.model else list(roles.rewards)
    if roles.model:
        cell = f"CAST({quoted(roles.model)} AS VARCHAR)"
        cases = " ".join(f"WHEN {_literal(name)} THEN {k}" for k, name in enumerate(roles.rewards))
        parts.append(f"CASE {cell} {cases} END AS m")
    wrong = []
    for k, name in enumerate(columns):
        number = number_of(str(name), source)
        parts.append(f"CASE WHEN isnan({number}) THEN NULL ELSE {number} END AS s{k}")
        wrong.append(f"WHEN {number} IS NULL AND NOT {absent(str(name), source)} THEN {2 * k + 1}")
        wrong.append(f"WHEN isinf({number}) THEN {2 * k + 2}")
    parts.append(f"CASE {' '.join(wrong)} ELSE 0 END AS wrong")
    parts += [f"{number_of(name, source)} AS x{k}" for k, name in enumerate(roles.suspects)]
    if roles.base_logprob:
        parts.append(f"{number_of(roles.base_logprob, source)} AS logp")
    if roles.step:
        parts.append(f"{number_of(roles.step, source)} AS step")
    if roles.advantage:
        number = number_of(roles.advantage, source)
        parts.append(f"{number} AS advantage")
        parts.append(f"{number} IS NULL AND NOT {absent(roles.advantage, source)} AS unread")
    return parts


def _to_log_odds(source: Source, roles: Roles) -> None:
    db = source.db
    for k, name in enumerate([roles.score] if roles.model else roles.rewards):
        row = db.execute(f"SELECT min(row) FROM cells WHERE s{k} < 0 OR s{k} > 1").fetchone()[0]
        if row is not None:
            raise ValueError(
                f"{source.where(row)}: {brief(str(name))} is outside [0, 1], where log-odds are not defined"
            )
        ends = db.execute(f"SELECT min(least(s{k}, 1 - s{k})) FROM cells WHERE s{k} > 0 AND s{k} < 1").fetchone()[0]
        end = (ends or 1e-3) / 2
        db.execute(
            f"UPDATE cells SET s{k} = ln(least(greatest(s{k}, {end!r}), 1 - {end!r}) / "
            f"(1 - least(greatest(s{k}, {end!r}), 1 - {end!r})))"
        )


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _check(source: Source, roles: Roles) -> None:
    """A cell that is no number, an empty prompt, a step that is none: each with its place."""
    db = source.db
    columns = [roles.score] if roles.model else list(roles.rewards)
    found = db.execute("SELECT row, wrong FROM cells WHERE wrong > 0 ORDER BY row LIMIT 1").fetchone()
    if found:
        row, wrong = found
        name = str(columns[(wrong - 1) // 2])
        cell = db.execute(f"SELECT CAST({quoted(name)} AS VARCHAR) FROM source LIMIT 1 OFFSET {row}").fetchone()[0]
        total = db.execute(f"SELECT count(*) FROM cells WHERE wrong = {wrong}").fetchone()[0]
        more = f", and so are {many(total - 1, 'other cell')}" if total > 1 else ""
        what = f"is {cell}: a score must be finite" if wrong % 2 == 0 else f"is {brief(cell)!r}, which is no number"
        raise ValueError(
            f"{source.where(row)}: {brief(name)} {what}{more}; mend it, leave the cell empty (then it counts "
            "as missing), "
            "or leave the column out (--rewards)"
        )
    checks = {"trim(context) = '' OR context IS NULL": f"{brief(roles.context)} is empty; every row needs its prompt"}
    if roles.step:
        checks["step IS NULL OR isinf(step) OR isnan(step) OR abs(step) > 9e15"] = (
            f"{brief(roles.step)} is no number that counts; every row of a log needs its step"
        )
    if roles.advantage:
        checks["unread"] = f"{brief(roles.advantage)} is no number"
    for k, own in enumerate(columns):
        checks[f"abs(s{k}) > {LARGEST!r}"] = f"{brief(str(own))} is beyond {LARGEST:g}: divide the column"
    if roles.base_logprob:
        checks["logp IS NULL OR isnan(logp)"] = f"{brief(roles.base_logprob)} is missing; every answer needs one"
        checks["logp > 0"] = f"{brief(roles.base_logprob)} is above 0, where no log-probability is"
    for condition, what in checks.items():
        found = db.execute(f"SELECT min(row) FROM cells WHERE {condition}").fetchone()
        if found[0] is not None:
            raise ValueError(f"{source.where(found[0])}: {what}")
    for k, name in enumerate(roles.suspects):
        if not db.execute(f"SELECT 1 FROM cells WHERE x{k} IS NOT NULL LIMIT 1").fetchone():
            raise ValueError(f"{brief(name)} has no numbers (--suspect): a suspect is a column of numbers")
    if roles.model:
        nobody = f"SELECT row_number() OVER () - 1 AS row, {absent(roles.model, source)} AS bare FROM source"
        row = db.execute(f"SELECT min(row) FROM ({nobody}) WHERE bare").fetchone()[0]
        if row is not None:
            raise ValueError(f"{source.where(row)}: {brief(roles.model)} names no model")
    if roles.model and roles.identity is None:
        raise ValueError(
            "a table with a row per model needs a column that names the answer, so that scores of one answer "
            "meet (answer=; "
            "--answer)"
        )
