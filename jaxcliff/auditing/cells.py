"""Every cell that counts, read once: texts as keys, scores as numbers, and a sentence for what is neither."""

from jaxcliff.auditing.roles import Roles, absent, number_of
from jaxcliff.auditing.sources import Source, quoted
from jaxcliff.core.labels import brief, many

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
    label = f"CAST({quoted(roles.answer)} AS VARCHAR)" if roles.answer else "'row ' || (row_number() OVER () - 1)"
    parts.append(f"left({label}, {LABEL}) AS label")
    if roles.identity:
        parts.append(f"md5_number_lower(CAST({quoted(roles.identity)} AS VARCHAR)) AS key")
    else:
        parts.append("(row_number() OVER () - 1)::UBIGINT AS key")
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
        parts.append(f"{number_of(roles.advantage, source)} AS advantage")
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
        checks["step IS NULL"] = f"{brief(roles.step)} is no number; every row of a log needs its step"
    if roles.base_logprob:
        checks["logp IS NULL OR isnan(logp)"] = f"{brief(roles.base_logprob)} is missing; every answer needs one"
        checks["logp > 0"] = f"{brief(roles.base_logprob)} is above 0, where no log-probability is"
    for condition, what in checks.items():
        found = db.execute(f"SELECT min(row) FROM cells WHERE {condition}").fetchone()
        if found[0] is not None:
            raise ValueError(f"{source.where(found[0])}: {what}")
    if roles.model and roles.identity is None:
        raise ValueError(
            "a table with a row per model needs a column that names the answer, so that scores of one answer "
            "meet (answer=; "
            "--answer)"
        )
