"""`jaxcliff audit`: what noise, weights and normalisation decide in a table of scores or the log of a training run."""

import argparse
import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".pq", ".arrow", ".feather")


def add(commands: Any) -> None:
    """The command and its options."""
    audit = commands.add_parser(
        "audit", help="a table of reward-model scores, or the log of a training run: what is decided by how little"
    )
    audit.set_defaults(run=run)
    audit.add_argument(
        "table", nargs="+", metavar="FILE", help="CSV, JSONL, JSON, Parquet or Arrow; a folder; a pattern"
    )
    audit.add_argument("--out", default="audit", help="folder to write (default: audit)")
    audit.add_argument("--replace", action="store_true", help="write over the audit of another table in that folder")
    audit.add_argument("--context", help="the column that names the prompt (recognised if not given)")
    audit.add_argument("--answer", help="the column that names the answer (recognised if not given)")
    audit.add_argument("--rewards", help="the columns of scores, such as helpful,harmless; of a long table, its models")
    audit.add_argument("--model", help="of a table with a row per model, the column that names the model")
    audit.add_argument("--weights", help="of the models, such as 0.7,0.3 or helpful=0.7,harmless=0.3 (default: equal)")
    audit.add_argument("--base-logprob", help="the column with log-probabilities under the base policy")
    audit.add_argument(
        "--group", metavar="STEP", help="of a training log, the column of steps (recognised if not given)"
    )
    audit.add_argument("--suspect", help="columns that should not decide, such as chars")
    audit.add_argument(
        "--noise", help="standard deviation of a score's error: a number, one per model, 'repeated' or 'disagreement'"
    )
    audit.add_argument("--correlation", type=float, default=0.0, help="of errors of answers to one prompt (default: 0)")
    audit.add_argument("--correlated", metavar="COLUMN", help="errors are the more alike the nearer answers are in it")
    audit.add_argument("--seed", type=int, default=0, help="of the draws that --correlated needs (default: 0)")
    audit.add_argument("--budget", type=float, default=0.1, help="total variation that is allowed (default: 0.1)")
    audit.add_argument("--best-of", type=int, default=4, help="the N of best-of-N (default: 4)")
    audit.add_argument(
        "--scale", choices=("raw", "logit"), default="raw", help="mix scores as they are, or as log-odds"
    )
    audit.add_argument(
        "--tie-tolerance", type=float, help="gaps up to this are ties (default: half a step of the scores)"
    )
    audit.add_argument(
        "--missing", choices=("drop", "error"), default="drop", help="answers without a score: leave out, or refuse"
    )


def run(options: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Reads the options, audits the table, and writes its folder."""
    if not options.out.strip():
        raise ValueError("--out names the folder to write; it must not be empty")
    rewards = _names(options.rewards)
    given = {
        "context": options.context,
        "answer": options.answer,
        "rewards": rewards,
        "model": options.model,
        "weights": _numbers(options.weights, "--weights"),
        "base_logprob": options.base_logprob,
        "group": options.group,
        "suspect": _names(options.suspect) or (),
        "noise": _noise(options.noise),
        "correlation": options.correlation,
        "correlated": options.correlated,
        "seed": options.seed,
        "budget": options.budget,
        "best_of": options.best_of,
        "scale": options.scale,
        "tie_tolerance": options.tie_tolerance,
        "missing": options.missing,
    }
    table = options.table[0] if len(options.table) == 1 else options.table
    write(table, Path(options.out), given, say=say, replace=options.replace)


def write(table: Any, out: Path, given: dict[str, Any], *, say: Callable[[str], None], replace: bool) -> None:
    """Audits a table and writes its folder."""
    from jaxcliff.auditing import audited
    from jaxcliff.report import audit

    with audited(table, say=say, **given) as found:
        audit.write(found, out, say=say, replace=replace)


def is_table(name: str) -> bool:
    """Whether the name is that of a table's file, or of a folder with tables."""
    suffixes = {suffix.lower() for suffix in Path(name).suffixes}
    return bool(suffixes & set(TABLES)) or Path(name).is_dir()


def _names(text: str | None) -> list[str] | None:
    """Names with commas between; one that has a comma itself is quoted."""
    return None if text is None else [name for name in next(csv.reader([text], skipinitialspace=True), []) if name]


def _noise(text: str | None) -> Any:
    return text if text in (None, "repeated", "disagreement") else _numbers(text, "--noise")


def _numbers(text: str | None, option: str) -> Any:
    """One number, several, or numbers by name."""
    if text is None:
        return None
    parts = _names(text) or []
    try:
        if parts and all("=" in part for part in parts):
            return {name: float(number) for name, _, number in (part.rpartition("=") for part in parts)}
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if not numbers:
        raise ValueError(
            f"{option} are numbers, such as 0.7,0.3, or numbers by name, such as helpful=0.7, not {text!r}"
        )
    return numbers[0] if len(numbers) == 1 and option == "--noise" else numbers
