"""The pages: ten tasks of a new user, each a script that runs; the gallery; what the guides say exists."""

import contextlib
import io
import pathlib
import re
import subprocess
import sys

import jax
import pytest

from tests.conftest import needs_x64

ROOT = pathlib.Path(__file__).parents[1]
TASKS = sorted((ROOT / "docs/tasks").glob("*.py"))
GALLERY = sorted((ROOT / "docs/gallery").glob("*.py"))


def ran(script):
    """What a script prints, and the names that it leaves."""
    found, printed = {"__name__": "__main__"}, io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(script.read_text(), str(script), "exec"), found)
    return printed.getvalue(), found


@pytest.fixture(autouse=True)
def as_users_have_it():
    before = jax.config.jax_numpy_dtype_promotion
    jax.config.update("jax_numpy_dtype_promotion", "standard")
    yield
    jax.config.update("jax_numpy_dtype_promotion", before)


SAID = {
    "best_of_n": r"n = 256: return \d\.\d+, \d\.\d+ nats",
    "gate": r"the loss falls from .*\n.*undecided 0\n.*nearest cliff at",
    "learner": r"errors up to 1\.00: \d+% flip the optimum",
    "own_problem": r"nearest cliff at .*: \w[\w ]* goes from (safe|fast) to (safe|fast)",
    "own_style": r"\d policies, in serif",
    "propositions": r"2\.10: 1000 jumps, all 0\.666667 .*\n4\.7: the bound holds in all 1000",
    "reward_distance": r"correlation of the two: 0\.\d\d",
    "soft_sweep": r"10\.000000",
    "three_models": r"prompt,left out,before,after,margin\r?\nprompt \d+,(helpful|honest|harmless),answer \d,answer \d",
    "token_tree": r"raised by .*: the policy moves 0\.\d{3}",
}


@needs_x64
@pytest.mark.parametrize("script", TASKS, ids=lambda path: path.stem)
def test_a_new_user_can_do_it(script):
    assert len(script.read_text().splitlines()) <= 40
    printed, _ = ran(script)
    assert re.search(SAID[script.stem], printed), printed


def test_there_are_ten_tasks():
    assert {path.stem for path in TASKS} == set(SAID)
    assert len(TASKS) == 10


@pytest.mark.slow
@pytest.mark.parametrize("script", GALLERY, ids=lambda path: path.stem)
def test_the_gallery_draws(script):
    _, found = ran(script)
    assert found["figure"].axes


def test_every_figure_is_in_the_gallery():
    import jaxcliff as jc

    assert {path.stem for path in GALLERY} == set(jc.figures.__all__)


@pytest.mark.slow
def test_the_pages_are_built_without_a_warning():
    pytest.importorskip("pdoc")
    done = subprocess.run([sys.executable, "docs/build.py"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_guides_name_what_exists():
    for guide in (ROOT / "docs/house.md", ROOT / "docs/adding.md", ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        for path in re.findall(r"`((?:tests|docs|jaxcliff|benchmarks|notebooks)/[\w/.]+)`", guide.read_text()):
            assert (ROOT / path).exists(), f"{guide.name} names {path}"
    house = (ROOT / "docs/house.md").read_text()
    for module in (ROOT / "jaxcliff").rglob("*.py"):
        if module.stem not in ("__init__", "__main__", "version"):
            assert re.search(rf"`{module.stem}(\.py)?`|{module.stem}", house), f"house.md says nothing of {module}"


def test_the_changelog_names_the_version():
    import jaxcliff as jc

    assert f"## {jc.__version__}" in (ROOT / "CHANGELOG.md").read_text()
    assert f"version: {jc.__version__}" in (ROOT / "CITATION.cff").read_text()


def test_the_pages_name_files_that_exist():
    for page in (ROOT / "docs").glob("*.md"):
        text = page.read_text()
        for path in re.findall(r"`((?:tests|benchmarks|notebooks)/[\w./]+)`", text):
            assert (ROOT / path).exists(), f"{page.name}: {path}"
        for path in re.findall(r"\]\((?!http)([^)#]+)\)", text):
            assert (page.parent / path).exists(), f"{page.name}: {path}"
