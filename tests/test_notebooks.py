"""The notebooks run, are short, and are committed with the outputs of the code that they show."""

import json
import pathlib
import runpy

import pytest

from tests.conftest import needs_x64

FOLDER = pathlib.Path(__file__).parents[1] / "notebooks"
NAMES = ("one_cliff", "three_maps")


def code_of(script):
    """The code cells of a percent script."""
    cells = script.split("# %%")[1:]
    return [cell.strip() for cell in cells if not cell.startswith(" [markdown]")]


@needs_x64
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs(name):
    runpy.run_path(str(FOLDER / f"{name}.py"))


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_short_and_shows_what_its_script_does(name):
    code = code_of((FOLDER / f"{name}.py").read_text())
    lines = [line for cell in code for line in cell.splitlines() if line.strip() and not line.startswith("#")]
    assert len(lines) < 80
    notebook = json.loads((FOLDER / f"{name}.ipynb").read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    shown = ["".join(cell["source"]).replace("%matplotlib", "# %matplotlib").strip() for cell in cells]
    assert shown == code
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 3
