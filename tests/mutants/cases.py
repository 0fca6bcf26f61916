"""Faults in case studies, in weights that are learned with the policy, and in pairs of trained learners."""

from tests.mutants import Mutant

MUTANTS = (
    Mutant(
        "jaxcliff.scenarios.obfuscation.threshold",
        "the hidden cheat is taken for unseen",
        "return k.cost / (k.sees_transparent - k.sees_hidden)",
        "return k.cost / k.sees_transparent",
        "scenarios.py::test_the_optimum_switches_at_the_threshold",
    ),
    Mutant(
        "jaxcliff.scenarios.lcpo.threshold",
        "a target is left downwards only",
        "(fade * long - here) / (fade * k.step), ",
        "0.0, ",
        "scenarios.py::test_the_optimum_switches_at_the_threshold",
    ),
    Mutant(
        "jaxcliff.studies.gates.hypergradient",
        "the gradient of the true return is that of the first component",
        "ahead[:, -1], ahead",
        "ahead[:, 0], ahead",
        "learned_weights.py::test_the_hypergradient_is_that_of_finite_differences_and_of_autodiff",
    ),
    Mutant(
        "jaxcliff.studies.constants.Point.__call__",
        "a pair is trained on one reward twice",
        "(pair[1], other)",
        "(pair[0], other)",
        "learner_studies.py::test_the_fork_attains_the_bound",
    ),
    Mutant(
        "jaxcliff.learners.parameters.escort",
        "an escort transform has no power",
        "return Escort(power, ",
        "return Escort(1.0, ",
        "base_models.py::test_the_escort_transform_starts_at_its_base_and_is_scale_free",
    ),
)
