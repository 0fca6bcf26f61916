"""Faults in the audit of tables and logs."""

from tests.mutants import Mutant

AUDITING = "jaxcliff.auditing"

MUTANTS = (
    Mutant(
        f"{AUDITING}.winners.weights_distance",
        "weights leave the model that is least behind first",
        "jnp.argsort(-behind, axis=-1)",
        "jnp.argsort(behind, axis=-1)",
        "audit.py::test_the_distance_of_weights_is_that_of_a_linear_programme",
    ),
    Mutant(
        f"{AUDITING}.winners.flip_probability",
        "the probability that several rivals stay below is that of each, added up",
        "-jnp.expm1(outside)",
        "-outside",
        "audit_arithmetic.py::test_flip_probabilities_of_equal_answers_are_closed_forms",
    ),
    Mutant(
        f"{AUDITING}.tilting.worst_movement",
        "the worst set of answers is always there",
        "jnp.maximum(_log_odds(scores, base_log, beta) - x, 0)",
        "0 * x",
        "audit_arithmetic.py::test_no_error_within_the_size_moves_answers_more_than_is_said",
    ),
    Mutant(
        f"{AUDITING}.tilting._marched",
        "a step of the march is safe where it begins safely",
        "jnp.minimum(here, odds(beta + step)) >= then",
        "here >= needed",
        "audit_arithmetic.py::test_narrow_windows_between_temperatures_are_found",
    ),
    Mutant(
        f"{AUDITING}.population._along",
        "winners change at most once along an edge",
        "current[at] = then",
        "at = at[:0]",
        "audit.py::test_breakpoints_along_an_edge_are_those_of_solving_again",
    ),
    Mutant(
        f"{AUDITING}.rows._counted",
        "means of scores lie in the steps of single ones",
        "0.0 if squares[k] > 0 else ",
        "",
        "audit.py::test_means_of_several_scores_are_not_tied_by_their_steps",
    ),
    Mutant(
        f"{AUDITING}.advantages.steepness",
        "a rounding of a dead group is divided by nothing",
        "return 1 / (std + floor)",
        "return 1.0",
        "training_logs.py::test_dead_groups_whose_mean_rounds_fit_their_formula",
    ),
    Mutant(
        f"{AUDITING}.roles._identifies",
        "a hash of the prompt is one of the answer",
        "return bool(pairs > prompts)",
        "return True",
        "audit_tables.py::test_a_table_is_read_or_gets_a_sentence",
    ),
)
