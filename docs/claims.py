"""Verifies every claim and writes the tables of docs/theory.md and README.md: `python docs/claims.py [INSTANCES]`."""

import pathlib
import re
import sys

import jax

import jaxcliff as jc

ROOT = pathlib.Path(__file__).parents[1]
BEGIN, END = "<!-- claims: made by docs/claims.py -->\n", "<!-- end of claims -->"
TELLING = ("2.4", "2.7 exact", "2.9 bump sharp", "2.10", "3.1", "4.6 one model", "4.7 sharp", "4.7 outcomes")
TELLING += ("4.7 limit uniform", "C.2 everywhere")


def row(one: jc.claims.Verified, longer: bool) -> str:
    """A line of a table."""
    claim = one.claim
    found = {
        "tight": f"largest ratio {one.worst:.3g}; attained to {max(one.equality or 0, 1e-16):.0e}",
        "loose": f"largest ratio {one.worst:.3g}",
        "exact": f"equal, to {one.worst:.0e}" if one.worst else "equal",
        "validator": "refused",
        "refuted": "refuted",
    }[claim.kind]
    statement = claim.statement + (f" {claim.told[0].upper()}{claim.told[1:]}." if longer and claim.told else "")
    cells = (claim.name, statement, claim.formula, claim.source, found)
    return f"| {' | '.join(cell.replace('|', '∣') for cell in cells)} |"


def written(page: pathlib.Path, several: list[jc.claims.Verified], longer: bool) -> None:
    """The table between two marks of a page."""
    head = "| | statement | measured | from | found |\n|---|---|---|---|---|"
    lines = []
    for section in dict.fromkeys(one.claim.section for one in several):
        lines += [f"\n### {section}\n"] if longer else []
        lines += [head] if longer or not lines else []
        lines += [row(one, longer) for one in several if one.claim.section == section]
    text = page.read_text(encoding="utf-8")
    table = "\n".join(lines) + "\n"
    text = re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: BEGIN + table + END, text, flags=re.S)
    page.write_text(text, encoding="utf-8")


def main() -> None:
    """Ten thousand instances each, if not told otherwise."""
    jax.config.update("jax_enable_x64", True)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    several = jc.claims.verify(instances=count, told=lambda one: print(one.claim.name, one.verdict, flush=True))
    written(ROOT / "docs/theory.md", several, longer=True)
    written(ROOT / "README.md", [one for one in several if one.claim.name in TELLING], longer=False)


if __name__ == "__main__":
    main()
