"""The command line: `jaxcliff atlas` draws the maps of a problem. Thin: it parses, calls, and writes."""

import argparse
import contextlib
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

MOST = 1_000_000  # rewards per radius
FIELD = (
    "....#......",
    "..........G",
    ".#.........",
    ".#.P..#.#..",
    ".#..#.#P...",
    "...#.......",
    "G.#....S...",
)


def _problems() -> dict[str, Callable[[Any, Any], Any]]:
    """The built-in problems of the atlas: functions of the room of problems and a random key."""
    return {
        "grid": lambda problems, key: problems.gridworld(FIELD, slip=0.1, discount=0.95),
        "classic": lambda problems, key: problems.gridworld(),
        "cliff-walking": lambda problems, key: problems.cliff_walking(discount=0.95),
        "river-swim": lambda problems, key: problems.river_swim(12, discount=0.99),
        "gambler": lambda problems, key: problems.gambler(50),
        "garnet": lambda problems, key: problems.garnet(key),
        "fork": lambda problems, key: problems.fork(),
        "token-tree": lambda problems, key: problems.token_tree(key, vocabulary=3, depth=4),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit status. A mistake of the user's gets a sentence, not a stack trace."""
    parser = argparse.ArgumentParser(prog="jaxcliff", description="Where optimal policies jump when rewards change.")
    commands = parser.add_subparsers(dest="command", required=True)
    atlas = commands.add_parser("atlas", help="every map of a problem, as figures, data and words")
    known = ", ".join(_problems())
    what = f"one of {known}; or a file: .npz (a problem), .csv, .jsonl or .json (a table of scores); default: grid"
    atlas.add_argument("problem", nargs="?", default=None, help=what)
    atlas.add_argument("--problem", dest="named", help="the same")
    atlas.add_argument("--out", type=Path, default=Path("atlas"), help="folder to write (default: atlas)")
    atlas.add_argument("--seed", type=int, default=0, help="random seed (default: 0)")
    atlas.add_argument("--count", type=int, default=1024, help="rewards per radius (default: 1024)")
    atlas.add_argument("--quick", action="store_true", help="coarser maps, fewer rewards")
    options = parser.parse_args(arguments)
    try:
        import jax

        _remember_compiled()
        with jax.enable_x64(True):
            problem = options.named or options.problem or "grid"
            _atlas(problem, options.out, options.seed, 64 if options.quick else options.count, options.quick)
    except (ValueError, OSError) as error:
        print(f"jaxcliff: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("jaxcliff: interrupted", file=sys.stderr)
        return 130
    return 0


def _remember_compiled() -> None:
    """What is compiled is kept for the next run, unless JAX was told where: compiling takes half of the first."""
    import jax

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        # Per machine: a compiled program is for one processor, a home directory can be shared by many.
        home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "jaxcliff" / platform.node()
        with contextlib.suppress(OSError):
            home.mkdir(parents=True, exist_ok=True)
            jax.config.update("jax_compilation_cache_dir", str(home))
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


def _atlas(problem: str, out: Path, seed: int, count: int, quick: bool) -> None:
    if not 1 <= count <= MOST:
        raise ValueError(f"count must be a number from 1 to {MOST:,}, not {count}")
    if not 0 <= seed < 2**63:
        raise ValueError(f"the seed must be a number from 0 to 2^63 − 1, not {seed}")
    from jaxcliff import report

    subject = _subject(problem, seed)
    report.write(subject, out, seed=seed, count=count, quick=quick, say=lambda text: print(text, flush=True))


def _subject(problem: str, seed: int) -> Any:
    """A built-in problem, or one from a file."""
    import jax

    from jaxcliff import problems, report

    known, path = _problems(), Path(problem)
    if problem in known:
        return report.Subject(problem, known[problem](problems, jax.random.key(seed)))
    if path.suffix not in (".npz", ".csv", ".jsonl", ".json"):
        raise ValueError(
            f"there is no built-in problem {problem!r}; choose one of {', '.join(known)}, or name a file: .npz (a "
            "problem), .csv, .jsonl or .json (a table of scores)"
        )
    if not path.is_file():
        raise ValueError(f"there is no file {problem}")
    if path.suffix == ".npz":
        return report.Subject(path.stem, problems.load(path))
    table: Any = path
    if path.suffix == ".json":
        try:
            table = json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise ValueError(f"{problem} is no JSON: {error}") from None
        if not isinstance(table, dict | list):
            raise ValueError(f"{problem} is no table: a list of rows or a mapping of columns, with names")
    scores = problems.from_scores(table)
    return report.Subject(path.stem, scores.mdp, scores.rewards, scores.names)


if __name__ == "__main__":
    sys.exit(main())
