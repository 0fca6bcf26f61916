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


def code_cells_of(name):
    """The code cells of the notebook that is committed."""
    notebook = json.loads((FOLDER / f"{name}.ipynb").read_text())
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


@needs_x64
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_and_prints_what_is_committed(name, capsys):
    runpy.run_path(str(FOLDER / f"{name}.py"))
    outputs = [output for cell in code_cells_of(name) for output in cell["outputs"]]
    shown = "".join("".join(output["text"]) for output in outputs if output["output_type"] == "stream")
    assert shown.count("\n") >= 5
    assert capsys.readouterr().out == shown


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_short_and_shows_what_its_script_does(name):
    code = code_of((FOLDER / f"{name}.py").read_text())
    lines = [line for cell in code for line in cell.splitlines() if line.strip() and not line.startswith("#")]
    assert len(lines) < 80
    cells = code_cells_of(name)
    shown = ["".join(cell["source"]).replace("%matplotlib", "# %matplotlib").strip() for cell in cells]
    assert shown == code
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 3
