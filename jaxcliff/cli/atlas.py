"""`jaxcliff atlas`: every map of a built-in problem, or of one in a file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxcliff.cli import audit

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


def add(commands: Any) -> None:
    """The command and its options."""
    atlas = commands.add_parser("atlas", help="every map of a problem, as figures, data and words")
    atlas.set_defaults(run=run)
    known = ", ".join(_problems())
    what = f"one of {known}; or a file: .npz (a problem); or a table of scores, which is audited; default: grid"
    atlas.add_argument("problem", nargs="?", default=None, help=what)
    atlas.add_argument("--problem", dest="named", help="the same")
    atlas.add_argument("--out", default="atlas", help="folder to write (default: atlas)")
    atlas.add_argument("--replace", action="store_true", help="remove the atlas of another problem from that folder")
    atlas.add_argument(
        "--tie-tolerance",
        type=float,
        help="gaps up to this share of the reward's span are ties (default: 1e-11, or 1e-4 for float32 problems)",
    )
    atlas.add_argument("--seed", type=int, default=0, help="random seed (default: 0)")
    atlas.add_argument("--count", type=int, default=1024, help="rewards per size (default: 1024)")
    atlas.add_argument("--quick", action="store_true", help="coarser maps, fewer rewards")


def run(options: Any, say: Callable[[str], None]) -> None:
    """Checks the options, finds the problem, and writes its atlas."""
    if not 1 <= options.count <= MOST:
        raise ValueError(f"count must be a number from 1 to {MOST:,}, not {options.count}")
    if not 0 <= options.seed < 2**63:
        raise ValueError(f"the seed must be a number from 0 to 2^63 − 1, not {options.seed}")
    if not options.out.strip():
        raise ValueError("--out names the folder to write; it must not be empty")
    given = [name for name in (options.problem, options.named) if name is not None]
    if len(set(given)) > 1:
        raise ValueError(f"one atlas has one problem, not {given[0]!r} and {given[1]!r}")
    if given and not given[0].strip():
        raise ValueError(f"the problem must not be empty; choose one of {', '.join(_problems())}, or name a file")
    problem = given[0] if given else "grid"
    if problem not in _problems() and audit.is_table(problem):
        say(f"{problem} is a table of scores, which is audited; `jaxcliff audit` has the options for it")
        audit.write(problem, Path(options.out), {}, say=say, replace=options.replace)
        return
    from jaxcliff.report import atlas

    subject = _subject(problem, options.seed)
    count = 64 if options.quick else options.count
    out, look = Path(options.out), {"seed": options.seed, "quick": options.quick, "replace": options.replace}
    look["tie_tolerance"] = options.tie_tolerance
    atlas.write(subject, out, count=count, say=say, **look)


def _subject(problem: str, seed: int) -> Any:
    """A built-in problem, or one from a file."""
    import jax

    from jaxcliff import problems
    from jaxcliff.report import atlas

    known, path = _problems(), Path(problem)
    if problem in known:
        return atlas.Subject(problem, known[problem](problems, jax.random.key(seed)))
    if path.suffix.lower() != ".npz":
        raise ValueError(
            f"there is no built-in problem {problem!r}; choose one of {', '.join(known)}, or name a file: .npz (a "
            "problem), or a table of scores"
        )
    if not path.is_file():
        raise ValueError(f"there is no file {problem}")
    return atlas.Subject(path.stem, problems.load(path))
