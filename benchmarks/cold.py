"""What a first answer costs: fresh processes without a compile cache, from the import to the atlas.

Every record is the fastest of a few processes. `seconds` is what the question took, compiling and what is imported for
it included; `compile_seconds` what XLA took of that, for so many `programs`. The import of jaxcliff is what it adds to
that of JAX, `import_jax`. The atlas is that of the default problem; again, in another process, with what was compiled
kept.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from benchmarks import first
from benchmarks.cases import Record

PROCESSES = 3


def measured(name: str) -> Iterator[Record]:
    """A record per question."""
    for question in first.questions():
        if question != "atlas":
            yield _record(name, question, min((_asked(question) for _ in range(PROCESSES)), key=lambda r: r["seconds"]))
    with tempfile.TemporaryDirectory() as cache:
        for method in ("atlas", "atlas, again"):
            yield _record(name, method, _asked("atlas", cache))


def _asked(question: str, cache: str = "") -> dict[str, Any]:
    """What a fresh process says of one question."""
    own = {"JAX_COMPILATION_CACHE_DIR": cache, "JAX_ENABLE_COMPILATION_CACHE": "true" if cache else "false"}
    own |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1", "MPLBACKEND": "Agg", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "benchmarks.first", question]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | own)
    return json.loads(run.stdout)


def _record(case: str, method: str, cost: dict[str, Any]) -> Record:
    none = ("floors", "memory_floors", "times_best_peer", "times_naive", "peak_bytes", "process_bytes", "error")
    size = {"states": first.STATES, "actions": first.ACTIONS, "discount": first.DISCOUNT, "lanes": 1}
    times = {"seconds": [cost["seconds"]], "compile_seconds": cost["compile"], "programs": cost["programs"]}
    common = {"case": case, "method": method, "dtype": "float64", "import_jax": cost["import_jax"]}
    return common | dict.fromkeys(none) | size | times
