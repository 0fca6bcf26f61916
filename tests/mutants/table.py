"""All mutants."""

from tests.mutants import (
    audits,
    cases,
    certificates,
    geometry,
    learners,
    maps,
    problems,
    rewards,
    solvers,
    studies,
    sweeps,
)

MUTANTS = (
    *certificates.MUTANTS,
    *solvers.MUTANTS,
    *geometry.MUTANTS,
    *maps.MUTANTS,
    *rewards.MUTANTS,
    *problems.MUTANTS,
    *studies.MUTANTS,
    *sweeps.MUTANTS,
    *audits.MUTANTS,
    *learners.MUTANTS,
    *cases.MUTANTS,
)
