"""The folder of an audit: a row per prompt, the tables behind the summary, the figures, and the summary itself."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxcliff import figures
from jaxcliff.auditing import Audit
from jaxcliff.auditing.sources import OURS
from jaxcliff.core.labels import brief, many

README = "README.txt"
FIRST_LINE = OURS
SHOWN = {
    "fragility": "how many winners change when scores are a little wrong",
    "margins": "by how much the best answers win",
    "winners": "how many winners change as weights move",
    "conflicts": "which models have no best answer in common",
    "advantages": "dead groups, and what nearly dead ones make of the gradient",
}
TABLES = ("prompts", "population", "weights", "conflicts", "suspects", "groups", "steps")
WRITTEN = {README, *(f"{n}.{form}" for n in (*TABLES, *SHOWN) for form in ("csv", "parquet", "png", "pdf"))}
COLUMNS = "What each column of these tables means is in docs/audit.md of jaxcliff."


def write(found: Audit, out: Path, *, say: Callable[[str], None], replace: bool = False) -> None:
    """Makes the folder; `found` is an audit whose tables are still in the engine (`jaxcliff.auditing.audited`).

    An older audit of the same table is written over; a folder with anything else under these names is refused.
    """
    summary = found.summary()
    heading = f"{FIRST_LINE}{brief(found.rows.source.name)}, {many(found.rows.count, 'row')}"
    _make_room(out, heading, replace=replace)
    text = [heading, "\n".join(found.roles.sentences()), summary]
    say("\n" + text[-1])
    written = _tables(found, out)
    for name, draw in _figures(found).items():
        figure = draw(found.data)
        for suffix, metadata in (("png", {"Software": None}), ("pdf", {"CreationDate": None})):
            figure.savefig(out / f"{name}.{suffix}", dpi=300, metadata=metadata)
        written[f"{name}.png, .pdf"] = SHOWN[name]
    files = "\n".join(f"{name}: {what}" for name, what in written.items())
    text.append(f"Files\n{files}\n{COLUMNS}")
    (out / README).write_text("\n\n".join(text) + "\n", encoding="utf-8")
    say(f"\n{out}/ has the prompts one by one, the most fragile first (prompts.csv, .parquet), and the figures")


def _make_room(out: Path, heading: str, *, replace: bool) -> None:
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file; --out names a folder")
    out.mkdir(parents=True, exist_ok=True)
    readme = out / README
    there = [p for p in sorted(out.iterdir()) if p.name in WRITTEN]
    if not there:
        return
    first = readme.read_text(encoding="utf-8", errors="replace").split("\n")[0] if readme.is_file() else ""
    if not first.startswith(FIRST_LINE):
        raise ValueError(
            f"{out}/ has a {there[0].name} that is of no audit, and would be written over; choose another folder"
        )
    if first != heading and not replace:
        other = first.removeprefix(FIRST_LINE)
        raise ValueError(
            f"{out}/ has the audit of another table ({other}); choose another folder (--out), or write over it "
            "(--replace)"
        )
    for path in there:
        path.unlink()


def _tables(found: Audit, out: Path) -> dict[str, str]:
    """Writes all tables; what each file is."""
    db = found.rows.source.db

    def copied(table: str, name: str, *forms: str) -> None:
        for form in forms:
            target = str(out / f"{name}.{form}").replace("'", "''")
            options = "FORMAT parquet" if form == "parquet" else "FORMAT csv, HEADER"
            db.execute(f"COPY {table} TO '{target}' ({options})")

    copied("report", "prompts", "parquet", "csv")
    told = {"prompts.csv, .parquet": "a row per prompt, the most fragile first"}
    found.population.to_csv(out / "population.csv", index=False)
    told["population.csv"] = "statistics of all prompts, and without those that noise decides"
    if len(found.models) > 1:
        copied("weights_report", "weights", "parquet")
        told["weights.parquet"] = "every change of a winner along the edges of the simplex of weights"
        found.conflicts.to_csv(out / "conflicts.csv", index=False)
        told["conflicts.csv"] = "a row per pair of models"
    if len(found.suspects):
        found.suspects.to_csv(out / "suspects.csv", index=False)
        told["suspects.csv"] = "a row per column that should not decide"
    if found.training is not None:
        copied("groups_report", "groups", "parquet", "csv")
        found.training.steps.to_csv(out / "steps.csv", index=False)
        told |= {"groups.csv, .parquet": "a row per step and prompt", "steps.csv": "a row per step"}
    return told


def _figures(found: Audit) -> dict[str, Callable[..., Any]]:
    drawn: dict[str, Callable[..., Any]] = {}
    if found.numbers["compared"]:
        drawn |= {"fragility": figures.fragility, "margins": figures.margins}
        if len(found.models) > 1:
            drawn |= {"winners": figures.winners_over_weights, "conflicts": figures.conflicts}
    if found.training is not None:
        drawn["advantages"] = figures.advantages
    return drawn
