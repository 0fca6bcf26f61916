"""`jaxcliff verify`: every claim of the theory on thousands of random instances."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

VIOLATED = 1  # the exit status when a claim is not as it says


def add(commands: Any) -> None:
    """The command and its options."""
    verify = commands.add_parser("verify", help="every claim of the theory on thousands of random instances")
    verify.set_defaults(run=run)
    verify.add_argument("--only", help="claims by their numbers, such as 2.4,2.10")
    verify.add_argument("--instances", type=int, default=256, help="for each claim, at least (default: %(default)s)")
    verify.add_argument("--seed", type=int, default=0, help="of the instances")
    verify.add_argument("--json", type=Path, help="a file to write the table to")
    verify.add_argument(
        "--out", type=Path, help="a folder for the table, the figure, and instances that violate a claim"
    )
    verify.add_argument("--replay", type=Path, metavar="FILE", help="an instance from such a folder, in words")


def run(options: argparse.Namespace, say: Callable[[str], None]) -> int:
    """The table, a row as it comes; 1 if a claim is not as it says."""
    from jaxcliff import claims

    if options.replay is not None:
        claim, again = claims.replay(options.replay)
        say(_told(claim, again))
        return VIOLATED if claim.violated(again).any() != (claim.kind == "refuted") else 0
    for place in filter(None, (options.json and options.json.parent, options.out and options.out.parent)):
        if not place.is_dir():
            raise ValueError(f"there is no folder {place}")
    section: list[str] = []

    def show(one: claims.Verified) -> None:
        if section[-1:] != [one.claim.section]:
            section.append(one.claim.section)
            say(f"\n{one.claim.section}")
        sharp = "" if one.equality is None else f"attained to {one.equality:.0e}"
        sign = {"tight": "≤", "loose": "≤", "refuted": "off by"}.get(one.claim.kind, "±")
        number = f"{sign} {one.worst:.4g}"
        say(f"  {one.claim.name:<22}{one.count:>7} {number:>15}  {sharp:<18}{one.verdict}")
        say(f"      {one.claim.statement}")

    names = None if options.only is None else [name.strip() for name in options.only.split(",")]
    found = claims.verify(names, instances=options.instances, seed=options.seed, told=show)
    wrong = [one for one in found if not one.holds]
    table = json.dumps({"seed": options.seed, "claims": [one.row() for one in found]}, indent=1, ensure_ascii=False)
    if options.json is not None:
        options.json.write_text(table + "\n", encoding="utf-8")
    folder = options.out
    if folder is not None:
        from jaxcliff import figures

        folder.mkdir(exist_ok=True)
        (folder / "claims.json").write_text(table + "\n", encoding="utf-8")
        drawn = figures.claims(claims.to_dataset(found))
        for end in ("png", "pdf"):
            drawn.savefig(folder / f"claims.{end}", dpi=300)
    say("")
    for one in found if options.out is not None else wrong:  # the instances that refute what is not so, too
        if one.counterexample is not None:
            path = claims.save(one.claim, one.counterexample, folder or Path())
            say(f"{one.claim.name}: {one.verdict}; jaxcliff verify --replay {path}")
    told = f"{len(found)} claims, {sum(one.count for one in found):,} instances"
    say(f"{told}: {'all as they say' if not wrong else f'{len(wrong)} not as they say'}")
    return VIOLATED if wrong else 0


def _told(claim: Any, found: Any) -> str:
    measured, bound, error = (float(x[0]) for x in found)
    sides = "=" if claim.kind == "exact" else "≤"
    stands = "contradicts" if bool(claim.violated(found)[0]) else "agrees with"
    return (
        f"{claim.name}: {claim.statement}\n{claim.formula}\n"
        f"measured {measured:.10g}, to be {sides} {bound:.10g}; the arithmetic may be wrong by {error:.2g}\n"
        f"this instance {stands} the claim as it stands"
    )
