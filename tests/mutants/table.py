"""All mutants."""

from tests.mutants import geometry, problems, rewards, solvers, studies

MUTANTS = (*solvers.MUTANTS, *geometry.MUTANTS, *rewards.MUTANTS, *problems.MUTANTS, *studies.MUTANTS)
