"""`python -m benchmarks [CASE …] [--json FILE]`: a table on the terminal, and the records as JSON."""

import argparse
import json
from pathlib import Path

import jax
import numpy as np

from benchmarks import cases, measure


def main() -> None:
    """Runs the cases asked for (all, if none), printing each record as it comes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("case", nargs="*", help=f"of {', '.join(cases.CASES)}; all if none is named")
    parser.add_argument("--json", type=Path, help="file to write the records to")
    options = parser.parse_args()
    unknown = [name for name in options.case if name not in cases.CASES]
    if unknown:
        parser.error(f"there is no case {unknown[0]!r}; choose from {', '.join(cases.CASES)}")
    jax.config.update("jax_enable_x64", True)
    machine = measure.machine()
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    columns = ("lanes", ">7"), ("seconds", ">9"), ("compile", ">8"), ("floors", ">8"), ("× naive", ">8")
    print(f"{'case':12s} {'method':24s} {' '.join(format(*column) for column in columns)}  right")
    records = []
    for name in options.case or cases.CASES:
        for record in cases.CASES[name]():
            records.append(record | machine)
            show = {key: "–" if record[key] is None else f"{record[key]:.1f}" for key in ("floors", "times_naive")}
            print(
                f"{name:12s} {record['method']:24s} {record['lanes']:7d} {np.median(record['seconds']):9.3f} "
                f"{record['compile_seconds']:8.1f} {show['floors']:>8s} {show['times_naive']:>8s}  "
                f"{'yes' if record['correct'] else 'NO'}",
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
