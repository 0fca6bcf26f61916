"""`python -m benchmarks [CASE …] [--json FILE]`: a table on the terminal, and the records as JSON."""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np

from benchmarks import audit, cases, cold, draws, figure, geometry, growth, large, learners, measure, models, sweeps

ALL: dict[str, Callable[[str], Iterator[cases.Record]]] = (
    dict.fromkeys(cases.CASES, cases.measured)
    | {"models": models.measured, "million": large.measured, "draws": draws.measured}
    | {f"growth_{name}": growth.measured for name in growth.AXES}
    | geometry.CASES
    | {"cold": cold.measured, "sweeps": sweeps.measured, "learners": learners.measured}
    | dict.fromkeys(audit.SIZES, audit.measured)
)


def main() -> None:
    """Runs the cases asked for (all, if none), printing each record as it comes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("case", nargs="*", help=f"of {', '.join(ALL)}; all if none is named")
    parser.add_argument("--json", type=Path, help="file to write the records to")
    parser.add_argument("--figure", type=Path, help="picture of the records of --json; draws only, if no case is named")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = [name for name in options.case if name not in ALL]
    if unknown:
        parser.error(f"there is no case {unknown[0]!r}; choose from {', '.join(ALL)}")
    if options.figure and not options.json:
        parser.error("--figure draws the records of a file: name it with --json FILE")
    jax.config.update("jax_enable_x64", True)
    if options.peak:
        print(cases.peak(options.case[0], options.peak))
        return
    if not (options.figure and options.json.exists() and not options.case):
        records = _run(options.case or list(ALL), options.json)
    else:
        records = json.loads(options.json.read_text(encoding="utf-8"))
    if options.figure:
        figure.draw(records).savefig(options.figure, dpi=150)


def _run(names: list[str], path: Path | None) -> list[cases.Record]:
    machine = measure.machine()
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    columns = (
        ("lanes", ">8"),
        ("seconds", ">10"),
        ("compile", ">8"),
        ("floors", ">8"),
        ("× peer", ">8"),
        ("× naive", ">8"),
        ("of solve", ">9"),
        ("error", ">8"),
    )
    print(f"{'case':18s} {'method':26s} {' '.join(format(*column) for column in columns)}")
    records: list[cases.Record] = []
    for name in names:
        for record in ALL[name](name):
            records.append(record | machine)
            _show(record)
            if path:  # after every record: nothing is lost
                path.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    return records


def _show(record: cases.Record) -> None:
    if "missing" in record:
        print(f"{record['case']:18s} {record['method']:26s} {record['missing']}", flush=True)
        return
    unit = record["floors"] if record["memory_floors"] is None else record["memory_floors"]
    ratios = (unit, record["times_best_peer"], record["times_naive"])
    shown = " ".join(f"{'–' if x is None else f'{x:.1f}':>8s}" for x in ratios)
    shown += f" {record['times_solve']:9.3f}" if "times_solve" in record else f" {'–':>9s}"
    shown += f" {'–':>8s}" if record["error"] is None else f" {record['error']:8.1e}"
    if record["error"] is not None and not measure.right(record):
        shown += f" above {measure.ACCURACY:g}: in no ratio"
    shown += f" {record['programs']:4d} programs" if "programs" in record else ""
    case = record["case"] + (f" {record['at']:g}" if "at" in record else "")
    print(
        f"{case:18s} {record['method']:26s} {record['lanes']:8d} {np.median(record['seconds']):10.4f} "
        f"{record['compile_seconds']:8.1f} {shown}{'' if record.get('correct', True) else '  WRONG'}",
        flush=True,
    )


if __name__ == "__main__":
    main()
