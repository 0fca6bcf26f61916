"""Runs the examples of README.md, writes down what they print, and draws its pictures: `python docs/readme.py`."""

import contextlib
import io
import pathlib
import re

import jax
import numpy as np
from matplotlib.figure import Figure

import jaxcliff as jc
from jaxcliff.figures.style import style

ROOT = pathlib.Path(__file__).parents[1]
REAL = ROOT.parent / "shared/data/bon16.csv"  # not part of the project: a picture of it is drawn where it is there


def main() -> None:
    """The examples share one namespace, in which the pictures are drawn."""
    jax.config.update("jax_enable_x64", True)
    readme = ROOT / "README.md"
    names: dict[str, object] = {}

    def run(example: re.Match[str]) -> str:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(example[1], "README.md", "exec"), names)
        return f"```python\n{example[1]}```\n\n```text\n{out.getvalue()}```"

    text = readme.read_text(encoding="utf-8")
    text = re.sub(r"```python\n(.*?)```\s*```text\n.*?```", run, text, flags=re.S)
    readme.write_text(text, encoding="utf-8")

    mdp, x, y, extent = (names[name] for name in ("mdp", "x", "y", "extent"))
    ds = jc.studies.phase_diagram(mdp, None, x, y, extent)
    jc.figures.phase_diagram(ds).savefig(ROOT / "docs/phase.png", dpi=150)
    t, strength = np.linspace(-0.15, 0.15, 101), np.geomspace(3e-3, 3, 61)
    ds = jc.studies.phase_scan(mdp, None, x, t, strength=strength)
    jc.figures.phase_scan(ds).savefig(ROOT / "docs/slope.png", dpi=150)
    ds = jc.studies.learner_noise(key=jax.random.key(0), count=2048)
    jc.figures.learner_noise(ds).savefig(ROOT / "docs/learners.png", dpi=150)
    if REAL.exists():
        with style():
            picture = Figure(figsize=(7.2, 2.9), layout="constrained")
            left, right = picture.subplots(1, 2)
        ds = jc.audit(REAL).to_dataset()
        jc.figures.margins(ds, axes=left)
        jc.figures.fragility(ds, axes=right)
        picture.savefig(ROOT / "docs/audit.png", dpi=150)


if __name__ == "__main__":
    main()
