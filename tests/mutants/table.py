"""All mutants."""

from tests.mutants import certificates, geometry, maps, problems, rewards, solvers, studies

MUTANTS = (
    *certificates.MUTANTS,
    *solvers.MUTANTS,
    *geometry.MUTANTS,
    *maps.MUTANTS,
    *rewards.MUTANTS,
    *problems.MUTANTS,
    *studies.MUTANTS,
)
