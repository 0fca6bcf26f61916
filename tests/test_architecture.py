"""The house: direction of imports, one page of public names, documented and tested, no global state touched."""

import ast
import doctest
import importlib
import inspect
import pathlib
import subprocess
import sys

import pytest

import jaxcliff as jc
from tests.conftest import X64

PACKAGE = pathlib.Path(jc.__file__).parent

# A module imports only from rooms before its own (and from its own room).
ORDER = (
    "core",
    "sweep",
    "theory",
    "model",
    "rewards",
    "problems",
    "operators",
    "solvers",
    "policies",
    "metrics",
    "geometry",
    "cliffs",
    "claims",
    "scenarios",
    "learners",
    "studies",
    "figures",
    "auditing",
    "report",
    "config",
    "cli",
    "__main__",
)
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


def name_of(path):
    return ".".join(("jaxcliff", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


def room_of(module):
    return module.split(".")[1]


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_one_way(path):
    own = room_of(name_of(path))
    for module in imports_of(path):
        if module.startswith("jaxcliff."):
            other = room_of(module)
            assert ORDER.index(other) <= ORDER.index(own), f"{name_of(path)} imports {module}"
            if own == "figures":
                assert other in ("core", "figures"), "figures never solve"


def test_every_room_is_in_the_order():
    assert {room_of(name_of(p)) for p in MODULES} == set(ORDER)


def test_the_public_names_are_one_page_and_no_other_is_public():
    source = (PACKAGE / "__init__.py").read_text()
    assert len(source.splitlines()) < 110
    assert set(jc.__all__) == set(dir(jc))
    names = [n for n in jc.__all__ if not inspect.ismodule(getattr(jc, n))]
    bound = {n for n, v in vars(jc).items() if not n.startswith("_") and not inspect.ismodule(v)}
    assert bound - {"Any", "TYPE_CHECKING"} <= set(names)
    with pytest.raises(AttributeError, match="public names"):
        _ = jc.solvr


def test_every_public_thing_is_documented():
    for name in jc.__all__:
        thing = getattr(jc, name)
        assert inspect.getdoc(thing), name
        if inspect.isclass(thing):
            for key, member in vars(thing).items():
                if not key.startswith("_") and (callable(member) or isinstance(member, property)):
                    documented = inspect.getdoc(member) or key in DESCRIBED_BY_TYPE
                    assert documented, f"{name}.{key}"
        if inspect.ismodule(thing):
            for key in getattr(thing, "__all__", [n for n in vars(thing) if not n.startswith("_")]):
                member = getattr(thing, key)
                if callable(member) and getattr(member, "__module__", "").startswith("jaxcliff"):
                    assert inspect.getdoc(member), f"{name}.{key}"


# Members whose name and type say all.
DESCRIBED_BY_TYPE = {
    "num_states",
    "num_actions",
    "dtype",
    "astype",
    "replace",
    "level_sizes",
    "defect",
    "support",
}
DESCRIBED_BY_TYPE |= {"legal", "sentence", "pin"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_opens_with_what_it_is_for(path):
    assert ast.get_docstring(ast.parse(path.read_text()))
    assert len(path.read_text().splitlines()) <= 350


@pytest.mark.skipif(X64, reason="doctests show the default, 64-bit mode off")
@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_doctests(path):
    result = doctest.testmod(importlib.import_module(name_of(path)), verbose=False)
    assert result.failed == 0


def test_doctests_exist():
    assert sum(">>>" in p.read_text() for p in MODULES) >= 4


def test_import_is_light_and_changes_no_configuration():
    code = """
import jax, sys
before = dict(jax.config.values)
import jaxcliff
assert dict(jax.config.values) == before, "import changed jax.config"
heavy = {"matplotlib", "xarray", "scipy.sparse", "zarr", "pandas", "tqdm", "flax", "optax", "jaxtyping"}
print(sorted(heavy & set(sys.modules)))
"""
    program = [sys.executable, "-W", "error", "-c", code.replace("jaxtyping", "no_such_module")]
    out = subprocess.run(program, capture_output=True, text=True, check=True)
    assert (out.stdout, out.stderr) == ("[]\n", "")


def test_records_in_the_package_are_registered_pytrees():
    import jax

    for name in jc.__all__:
        thing = getattr(jc, name)
        if inspect.isclass(thing) and hasattr(thing, "__dataclass_fields__"):
            blank = object.__new__(thing)
            for field in thing.__dataclass_fields__:
                object.__setattr__(blank, field, None)
            assert jax.tree.structure(blank).num_nodes >= 1
            assert not jax.tree_util.all_leaves([blank]), name


def test_nothing_is_unfinished_by_its_own_words():
    words = ("TODO", "FIXME", "NotImplementedError")
    for path in MODULES:
        for word in words:
            assert word not in path.read_text(), f"{path} says {word}"
