"""Where a definition of the package is, by its name alone: read from the sources, nothing is imported."""

import ast
import functools
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parents[2]
PACKAGE = "jaxcliff"


class Place(NamedTuple):
    """A definition: its file, relative to the root, and its first and last line, from 1."""

    path: pathlib.Path
    first: int
    last: int


@functools.cache
def definitions() -> dict[str, Place]:
    """Every function, method, class and constant of the package by its dotted name."""
    found = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        relative = path.relative_to(ROOT)
        module = ".".join(relative.with_suffix("").parts).removesuffix(".__init__")
        for name, node in _defined(ast.parse(path.read_text()), module):
            found[name] = Place(relative, node.lineno, node.end_lineno)
    return found


def _defined(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.stmt]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            yield f"{prefix}.{child.name}", child
        if isinstance(child, ast.ClassDef):
            yield from _defined(child, f"{prefix}.{child.name}")
        if isinstance(child, ast.Assign | ast.AnnAssign):
            for target in child.targets if isinstance(child, ast.Assign) else [child.target]:
                if isinstance(target, ast.Name):
                    yield f"{prefix}.{target.id}", child


def find(symbol: str) -> Place:
    """The definition of this name, or the only one that ends like it, in as many parts as possible."""
    known, parts = definitions(), symbol.split(".")
    if symbol in known:
        return known[symbol]
    for start in range(1, len(parts)):
        tail = "." + ".".join(parts[start:])
        ends = [name for name in known if name.endswith(tail)]
        if len(ends) == 1:
            return known[ends[0]]
        if ends:
            raise LookupError(f"{symbol} is not there, and {', '.join(ends)} end like it")
    raise LookupError(f"{symbol} is not there")


def changed(symbol: str, old: str, new: str) -> tuple[pathlib.Path, str]:
    """The file of a definition, and its text with `new` in the one place of `old`."""
    place = find(symbol)
    lines = (ROOT / place.path).read_text().splitlines(keepends=True)
    before, own, after = lines[: place.first - 1], lines[place.first - 1 : place.last], lines[place.last :]
    source = "".join(own)
    if (count := source.count(old)) != 1:
        raise LookupError(f"{old!r} occurs {count} times in {symbol}")
    return place.path, "".join([*before, source.replace(old, new), *after])


def has_test(node_id: str) -> bool:
    """Whether the function of a test's node id is there, and takes parameters if the id has some."""
    name, _, function = node_id.partition("::")
    function, _, parameters = function.partition("[")
    test = _functions(f"tests/test_{name}").get(function)
    if test is None:
        return False
    return not parameters or bool(test.decorator_list) or "dtype" in [argument.arg for argument in test.args.args]


@functools.cache
def _functions(name: str) -> dict[str, ast.FunctionDef]:
    body = ast.parse((ROOT / name).read_text()).body
    return {node.name: node for node in body if isinstance(node, ast.FunctionDef)}
