"""What the audit of a table costs, part by part: `jaxcliff audit` in a process of its own, its files included."""

import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cases import Record

ANSWERS, MODELS = 8, 4
SIZES = {"audit": (20_000, 125_000), "audit_large": (1_250_000,)}  # prompts
ROWS = 100_000  # that are written at a time
# What is timed of it, by the place where it is called.
PARTS = {
    "reading and grouping": "findings.load",
    "prompts (of all cores)": "findings.facts",
    "edges of the weights": "population.breakpoints",
    "tables": "tables.append tables.report tables.numbers tables.conflicts tables.without_ambiguous "
    "findings.to_dataset",
    "files and figures": "report.write",
}


def measured(name: str) -> Iterator[Record]:
    """A record per size, with the seconds of each part and the peak memory of the process."""
    with tempfile.TemporaryDirectory() as folder:
        for prompts in SIZES[name]:
            path = Path(folder) / f"{prompts}.csv"
            write(path, prompts)
            code = f"from benchmarks import audit; audit.alone({str(path)!r}, {folder!r})"
            own = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(Path(folder) / "compiled")}
            began = time.perf_counter()
            run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=own)
            seconds = time.perf_counter() - began
            told = json.loads(run.stdout.splitlines()[-1])
            path.unlink()
            size = {"dtype": "float64", "states": prompts, "actions": ANSWERS, "discount": 0.0}
            none = dict.fromkeys(("floors", "memory_floors", "times_best_peer", "times_naive", "error", "peak_bytes"))
            method = f"{prompts * ANSWERS:,} rows: " + ", ".join(
                f"{part} {s:.1f} s" for part, s in told["parts"].items()
            )
            yield (
                {"case": name, "method": method, "seconds": [seconds], "lanes": prompts * ANSWERS}
                | none
                | size
                | {
                    "compile_seconds": 0.0,
                    "process_bytes": told["peak"],
                }
            )


def write(path: Path, prompts: int) -> None:
    """A table of normal scores with three decimals, its rows in no order."""
    rng = np.random.default_rng(0)
    order = rng.permutation(prompts * ANSWERS)
    with path.open("w", encoding="utf-8") as file:
        file.write("prompt,answer," + ",".join(f"rm_{k}" for k in range(MODELS)) + "\n")
        for start in range(0, len(order), ROWS):
            rows = order[start : start + ROWS]
            scores = rng.normal(size=(len(rows), MODELS)).round(3).tolist()
            for row, own in zip(rows.tolist(), scores, strict=True):
                prompt = f"question {row // ANSWERS}, and as many words as a question has that somebody asks"
                file.write(f'"{prompt}",answer {row % ANSWERS},{",".join(map(str, own))}\n')


def alone(path: str, folder: str) -> None:
    """Audits the table and prints the seconds of each part and the peak resident bytes of this process."""
    from jaxcliff.auditing import findings, population, tables
    from jaxcliff.cli import main as cli
    from jaxcliff.report import audit as report

    seconds = dict.fromkeys(PARTS, 0.0)
    modules = {"findings": findings, "population": population, "tables": tables, "report": report}
    for part, places in PARTS.items():
        for place in places.split():
            module, _, function = place.partition(".")
            setattr(modules[module], function, _timed(getattr(modules[module], function), seconds, part))
    assert cli.main(["audit", path, "--out", f"{folder}/audit", "--replace"]) == 0
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    print(json.dumps({"parts": seconds, "peak": int(status.split("VmHWM:")[1].split()[0]) * 1024}))


def _timed(function: Callable[..., Any], seconds: dict[str, float], part: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def timed(*args: Any, **kwargs: Any) -> Any:
        import jax

        began = time.perf_counter()
        found = jax.block_until_ready(function(*args, **kwargs))
        seconds[part] += time.perf_counter() - began
        return found

    return timed
