"""The command line: `jaxcliff atlas` draws the maps of a problem. Thin: it parses, calls, and writes."""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr

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
    atlas = commands.add_parser("atlas", help="where, and how often, the optimal policy of a problem flips")
    atlas.add_argument("problem", nargs="?", default="grid", help=f"one of {', '.join(_problems())} (default: grid)")
    atlas.add_argument("--out", type=Path, default=Path("atlas"), help="folder to write (default: atlas)")
    atlas.add_argument("--seed", type=int, default=0, help="random seed (default: 0)")
    atlas.add_argument("--count", type=int, default=2048, help="rewards per radius (default: 2048)")
    options = parser.parse_args(arguments)
    try:
        import jax

        with jax.enable_x64(True):
            _atlas(options.problem, options.out, options.seed, options.count)
    except (ValueError, OSError) as error:
        print(f"jaxcliff: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("jaxcliff: interrupted", file=sys.stderr)
        return 130
    return 0


def _atlas(problem: str, out: Path, seed: int, count: int) -> None:
    began = time.perf_counter()
    import jax

    from jaxcliff import figures, problems, studies

    known = _problems()
    if problem not in known:
        raise ValueError(f"there is no built-in problem {problem!r}; choose one of {', '.join(known)}")
    if not 1 <= count <= MOST:
        raise ValueError(f"count must be a number from 1 to {MOST:,}, not {count}")
    if not 0 <= seed < 2**63:
        raise ValueError(f"the seed must be a number from 0 to 2^63 − 1, not {seed}")
    out.mkdir(parents=True, exist_ok=True)
    problem_key, study_key = jax.random.split(jax.random.key(seed))
    mdp = known[problem](problems, problem_key)
    print(f"{problem}: {mdp}", flush=True)
    ds = studies.flip_frequency(mdp, key=study_key, count=count, progress=True)
    ds.attrs |= {"name": problem, "seed": seed}
    ds.to_zarr(out / "flips.zarr", mode="w", consolidated=False)
    figure = figures.flip_frequency(ds)
    for suffix in ("png", "pdf"):
        metadata = {"CreationDate": None} if suffix == "pdf" else {"Software": None}
        figure.savefig(out / f"flips.{suffix}", metadata=metadata)
    text = describe(ds)
    (out / "README.txt").write_text(text, encoding="utf-8")
    solved = count * len(ds.radius)
    print(f"\n{text}\n{solved:,} rewards in {time.perf_counter() - began:.0f} s; see {out}/")


def describe(ds: "xr.Dataset") -> str:
    """The figure in words, with the numbers of this run."""
    safe, tied = ds.attrs["safe_radius"], int((ds.decision & (ds.optimal.sum("action") > 1)).sum())
    has = "state has" if tied == 1 else "states have"
    radius = ds.attrs["telling_radius"]
    telling = ds.sel(radius=radius)
    names = ds.state_name.values if "state_name" in ds.coords else [f"state {s}" for s in ds.state.values]
    flips = telling.flips.values
    worst = "; ".join(f"{names[s]} ({flips[s]:.1%})" for s in flips.argsort()[::-1][:3] if flips[s] > 0)
    lines = [
        f"{ds.attrs.get('name', 'the problem')}: {ds.attrs['problem']}",
        "",
        "flips.png, flips.pdf: where, and how often, the optimal policy flips when every entry of the reward",
        f"may be off by up to a radius. {ds.attrs['count']:,} rewards per radius (data: flips.zarr), all certified.",
        "",
        f"{tied} {has} more than one optimal action: there any change, however small, can flip the policy."
        if tied
        else "The nearest rival is within the error of the arithmetic: no radius is certified."
        if safe == 0
        else f"No reward within {safe:.3g} of the base flips anything (certified: smallest gap / 2L).",
        f"At radius {radius:.3g} ({radius / (ds.attrs['span'] or 1):.2g} of the reward's span) "
        f"{float(telling.any_flip):.0%} of the rewards flip some state.",
        f"Most often flipped there: {worst or 'nothing'}.",
        f"Undecided by the arithmetic: at most {float(ds.any_undecided.max()):.2%} of the rewards at any radius.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
