"""The README's example runs and prints what it says; its commands and files exist."""

import contextlib
import io
import pathlib
import re

from tests.conftest import needs_x64

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


@needs_x64
def test_the_python_examples_run_and_print_what_they_say():
    """One after the other, in one namespace."""
    examples = re.findall(r"```python\n(.*?)```\s*```text\n(.*?)```", README, re.S)
    assert len(examples) == README.count("```python")
    names = {}
    for code, shown in examples:
        assert len([line for line in code.splitlines() if line.strip()]) <= 14
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(code, "README.md", "exec"), names)
        assert out.getvalue() == shown


def test_the_commands_are_targets_of_the_makefile():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make ([a-z-]+)", README, re.M):
        assert re.search(rf"^{target}:", makefile, re.M), target


def test_pictures_and_pages_exist():
    for path in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / path).exists(), path
