"""Mutants: small deliberate faults, one per mechanism of the package, and for each the test that fails because of it.

A mutant names a definition and a text in it, not a file or a line: a function that moves takes its mutants along. Most
are statements of the mathematics (a sign, a bound, a condition), each of which would give answers that are silently
wrong. `python -m tests.mutants [WORD…]` runs all of them, or those whose symbol or fault has one of the words in it.
"""

from typing import NamedTuple


class Mutant(NamedTuple):
    """One fault.

    Attributes:
        symbol: the dotted name of a function, method, class or constant: `jaxcliff.geometry.beside.Ties.limits`. If it
            is not there, the only definition that ends like it.
        fault: what goes wrong, in a few words.
        old, new: the text, which occurs once in the source of the symbol, and what takes its place.
        test: the node id of a test that fails then, without `tests/test_`.
        survives: why no test can fail; such a mutant is listed and not run.
    """

    symbol: str
    fault: str
    old: str
    new: str
    test: str = ""
    survives: str = ""
