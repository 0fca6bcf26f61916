"""Every mutant has its place and its test; the slow test runs them all."""

import subprocess
import sys

import pytest

from tests.mutants import source
from tests.mutants.table import MUTANTS


def test_every_mutant_has_one_place_and_a_test():
    faults = [mutant.fault for mutant in MUTANTS]
    assert len(set(faults)) == len(faults) >= 60
    for mutant in MUTANTS:
        path, text = source.changed(mutant.symbol, mutant.old, mutant.new)
        compile(text, path, "exec")
        assert bool(mutant.test) != bool(mutant.survives), mutant.fault
        assert mutant.survives or source.has_test(mutant.test), mutant.test


def test_a_definition_that_moved_is_found_by_the_end_of_its_name():
    here = source.find("jaxcliff.geometry.beside.Ties.limits")
    assert source.find("jaxcliff.elsewhere.Ties.limits") == here
    with pytest.raises(LookupError, match="no_such_thing is not there"):
        source.find("jaxcliff.no_such_thing")
    with pytest.raises(LookupError, match="end like it"):
        source.find("jaxcliff.elsewhere.astype")
    with pytest.raises(LookupError, match="occurs 0 times"):
        source.changed("jaxcliff.theory.safe_radius", "steps / gap", "")


@pytest.mark.slow
def test_every_mutant_is_killed_by_its_test():
    done = subprocess.run([sys.executable, "-m", "tests.mutants"], cwd=source.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
