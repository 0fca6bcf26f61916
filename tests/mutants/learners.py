"""Faults in learners, their studies, and best-of-N."""

from tests.mutants import Mutant

LEARNERS, PARTS, STUDIES = "jaxcliff.learners", "learner_parts.py", "learner_studies.py"

MUTANTS = (
    Mutant(
        f"{LEARNERS}.advantages.leave_one_out",
        "an answer is part of its own baseline",
        "count / jnp.maximum(count - 1, 1)",
        "count / jnp.maximum(count, 1)",
        "learners.py::test_sampled_gradients_are_unbiased_where_they_should_be",
    ),
    Mutant(
        f"{LEARNERS}.leashes.coefficient",
        "k3 pulls towards the other divergence",
        "-jnp.expm1(-jnp.clip(",
        "jnp.expm1(jnp.clip(",
        "learners.py::test_leashes_have_the_gradients_of_what_they_are_called",
    ),
    Mutant(
        f"{LEARNERS}.rollouts._next",
        "an episode of a tree goes on after its end token",
        "last | (action >= rows.vocabulary)",
        "last",
        "learners.py::test_sampled_gradients_are_unbiased_where_they_should_be[tree with an end]",
    ),
    Mutant(
        f"{LEARNERS}.training._streams",
        "starts are drawn from a key that answers use too",
        "several = iter(jax.random.split(key, sum(drawn)))",
        "several = iter([key, *jax.random.split(key, sum(drawn) - 1)])",
        "learners.py::test_sampled_gradients_are_unbiased_where_they_should_be",
    ),
    Mutant(
        f"{LEARNERS}.landings.landings",
        "every second pair of seeds is compared with the one before it",
        "jnp.where(which % 2 == 1, apart, 0)",
        "apart",
        f"{STUDIES}::test_where_a_noisy_learner_lands_is_a_logistic_law",
    ),
    Mutant(
        f"{LEARNERS}.landings.landings",
        "the next seed goes on from where the last one landed",
        "at = jax.tree.map(lambda x, y: jnp.where(ended, x, y), first, after)",
        "at = after",
        f"{STUDIES}::test_where_a_noisy_learner_lands_is_a_logistic_law",
    ),
    Mutant(
        f"{LEARNERS}.training._counted",
        "dead groups count as nearly dead",
        "(span > 0) & (span <= near",
        "(span >= 0) & (span <= near",
        f"{PARTS}::test_dead_and_nearly_dead_groups_are_counted",
    ),
    Mutant(
        f"{LEARNERS}.advantages.others_normalised",
        "an advantage counts itself among the others",
        "& ~jnp.eye(rewards.shape[-1], dtype=bool)",
        "& jnp.ones((rewards.shape[-1], rewards.shape[-1]), dtype=bool)",
        f"{PARTS}::test_others_are_counted_as_in_the_tests_of_nemo_rl",
    ),
    Mutant(
        f"{LEARNERS}.tokens.Modulated.__call__",
        "a token is rewarded for the clarity of its own state",
        "jnp.roll(clear, -1, axis=-1)",
        "clear",
        f"{PARTS}::test_modulated_gains_are_clear_centred_and_look_one_step_ahead",
    ),
    Mutant(
        f"{LEARNERS}.tokens.Virtual.__call__",
        "the policy is warmed above the target",
        "jnp.where(seen <= target, warm, cool)",
        "jnp.where(seen > target, warm, cool)",
        f"{PARTS}::test_virtual_targets_warm_or_cool_good_answers",
    ),
    Mutant(
        f"{LEARNERS}.leashes.Anchored.gain",
        "the action that crosses the share is in the nucleus",
        "upto < jnp.asarray(self.nucleus, upto.dtype)",
        "upto - seen.policy.max() < jnp.asarray(self.nucleus, upto.dtype)",
        f"{PARTS}::test_an_anchored_entropy_is_that_of_the_nucleus_of_peaks",
    ),
    Mutant(
        "jaxcliff.theory.landing",
        "a start on one side counts for the other",
        "-jnp.expm1(-theta * (start + limit))",
        "-jnp.expm1(-theta * (limit - start))",
        f"{STUDIES}::test_first_passages_are_those_of_a_walk_with_drift",
    ),
    Mutant(
        "jaxcliff.policies.best_of._kept",
        "answers that are tied share by their number",
        "part = jnp.where(safe, of_level / jnp.where(safe, below_or_tied, 1), 0.5)",
        "part = jnp.where(safe, 0.5, 0.5)",
        "best_of.py::test_bandits_are_counted",
    ),
)
