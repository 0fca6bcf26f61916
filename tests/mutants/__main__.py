"""Runs mutants, each against its test, and prints which were killed: `python -m tests.mutants [WORD…]`.

One process imports what takes long, and every mutant is a fork of it: a copy of the package that has the fault, where
pytest runs one test.
"""

import contextlib
import importlib
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import IO

from tests import xla_flags
from tests.mutants import Mutant, source
from tests.mutants.table import MUTANTS

QUICK = ("--xla_backend_optimization_level=0", "--xla_cpu_use_fusion_emitters=false")
HEAVY = ("pytest", "scipy.optimize", "scipy.stats", "scipy.sparse.linalg", "matplotlib.figure", "xarray", "flint")
LIMIT = 600  # seconds of one test
BROKEN = 99  # the status of a fork that raised
KILLED, SURVIVED, KNOWN = "killed", "SURVIVED", "survives"


def main(words: Sequence[str]) -> int:
    """Runs the chosen mutants; 1 if one of them is not killed by its test."""
    chosen = [m for m in MUTANTS if not words or any(word in f"{m.symbol} {m.fault}" for word in words)]
    began, outcomes = time.monotonic(), []
    prepare()
    with workshop() as folder:
        for mutant in chosen:
            start = time.monotonic()
            outcomes.append(outcome(mutant, folder))
            took, why = f"{time.monotonic() - start:4.0f} s", mutant.survives or mutant.test
            print(f"{outcomes[-1]:9} {took}  {mutant.symbol}: {mutant.fault} ({why})", flush=True)
    killed, known = outcomes.count(KILLED), outcomes.count(KNOWN)
    others = len(chosen) - killed - known
    print(f"{killed} killed, {known} known to survive, {others} others, in {time.monotonic() - began:.0f} s")
    return int(others > 0 or not chosen)


def prepare() -> None:
    """What `make test` sets with 64-bit mode on, and what every test imports: anything but the package itself."""
    os.environ["JAX_ENABLE_X64"] = "1"
    os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *xla_flags.known(list(QUICK))])
    for module in ("tests.conftest", *HEAVY):
        importlib.import_module(module)
    assert not any(name.startswith(source.PACKAGE) for name in sys.modules)


@contextlib.contextmanager
def workshop() -> Iterator[pathlib.Path]:
    """A folder with copies of the package and its tests."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for part in (source.PACKAGE, "tests"):
            shutil.copytree(source.ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(source.ROOT / "pyproject.toml", folder)
        yield folder


def outcome(mutant: Mutant, folder: pathlib.Path) -> str:
    """What became of one mutant."""
    if mutant.survives:
        return KNOWN
    try:
        path, text = source.changed(mutant.symbol, mutant.old, mutant.new)
    except LookupError as error:
        return f"NOT FOUND: {error}"
    whole = (folder / path).read_text()
    try:
        _write(folder / path, text)
        return _verdict(mutant.test, ".".join(path.with_suffix("").parts), folder)
    finally:
        _write(folder / path, whole)


def _write(path: pathlib.Path, text: str) -> None:
    """A source, without what was compiled of an earlier one: Python tells them apart by size and second only."""
    path.write_text(text)
    for compiled in path.parent.glob(f"__pycache__/{path.stem}.*"):
        compiled.unlink()


def _verdict(test: str, module: str, folder: pathlib.Path) -> str:
    """Runs one test in the folder; killed is who makes it fail, not who cannot be imported or collected."""
    import pytest

    def work() -> int:
        code = pytest.main(["-q", "-x", "-n", "0", "-p", "no:cacheprovider", f"tests/test_{test}"])
        importlib.import_module(module)
        return code

    with tempfile.TemporaryFile("w+") as said:
        code = _forked(work, folder, said)
        said.seek(0)
        last = said.read().strip().rpartition("\n")[2]
    if code == pytest.ExitCode.TESTS_FAILED and " failed" in last:
        return KILLED
    if code == pytest.ExitCode.OK and " passed" in last:
        return SURVIVED
    return "NO END" if code == -signal.SIGALRM else f"NO TEST: {last}"


def _forked(work: Callable[[], int], folder: pathlib.Path, said: IO[str]) -> int:
    """The status with which some work ends in a fork of this process that sees the folder instead of the root."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # JAX has been imported, and has no thread yet
        child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = BROKEN
    try:
        signal.alarm(LIMIT)
        os.chdir(folder)
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
        sys.path[:] = [str(folder), *(place for place in sys.path if place not in ("", str(source.ROOT)))]
        for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
            del sys.modules[name]
        status = int(work())
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
