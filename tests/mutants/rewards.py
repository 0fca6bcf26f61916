"""Faults in what is made of values and rewards: selections, metrics, perturbations, aggregation, models, theory."""

from tests.mutants import Mutant

METRICS, POLICIES = "jaxcliff.metrics", "jaxcliff.policies"
PERTURB, STEPS, AGGREGATE = "jaxcliff.rewards.perturb", "jaxcliff.rewards.steps", "jaxcliff.rewards.aggregate"
DISTANCES = "metrics.py::test_distances_between_policies_are_what_they_say"
SELECTIONS = "policies.py::test_selections_differ_where_actions_tie"
LIPSCHITZ = "aggregate.py::test_lipschitz_constants_hold_and_are_attained"
LIMITS = "regularizers.py::test_limits_in_a_bandit_are_the_selections_per_state"

SELECTED = (
    Mutant(
        f"{POLICIES}.uniform",
        "the uniform selection takes suboptimal actions",
        "acts.parts(undecided)",
        "(acts.legal,)",
        SELECTIONS,
    ),
    Mutant(
        f"{POLICIES}._foremost",
        "an order of preference is read as ranks",
        "xp.argsort(order, axis=-1)",
        "order",
        "policies.py::test_an_order_of_preference_begins_with_the_best",
    ),
    Mutant(
        f"{POLICIES}._nearest",
        "where the base covers no optimal action it is taken as it is",
        "jnp.where(covered, weight, candidates.astype(weight.dtype))",
        "jnp.where(covered, weight, base + 0 * weight)",
        SELECTIONS,
    ),
    Mutant(
        f"{POLICIES}._drawn",
        "the random selection is the first",
        "mask_illegal(draw, candidates)",
        "mask_illegal(0 * draw, candidates)",
        "policies.py::test_random_selection_is_uniform_over_ties",
    ),
    Mutant(
        f"{POLICIES}.ActionSets.parts",
        "undecided actions never take part",
        '(self.optimal, self.undecided) if undecided == "include" else (self.optimal,)',
        "(self.optimal,)",
        "policies.py::test_undecided_actions_take_part_or_not",
    ),
    Mutant(
        f"{POLICIES}.selections._normalized",
        "where there is nothing to choose from a policy of zeros is returned",
        "weight / xp.where(total > 0, total, 1), xp.nan)",
        "weight / xp.where(total > 0, total, 1), 0)",
        "policies.py::test_excluding_every_candidate_gives_nan_and_not_a_guess",
    ),
    Mutant(
        f"{POLICIES}._restricted",
        "of several optimal actions it does not count how many follow",
        "reward = jnp.broadcast_to(jnp.log(jnp.where(covered, total, 1)), mass.shape)",
        "reward = jnp.zeros_like(mass)",
        "small_studies.py::test_ways_count_in_the_limit_of_a_tie",
    ),
    Mutant(
        f"{POLICIES}._trajectory_limit",
        "the limit of small strengths is that of all actions",
        "acts.parts(undecided)",
        "(acts.legal,)",
        LIMITS,
    ),
    Mutant(
        f"{POLICIES}.kl_limit",
        "the limit of small KL strengths forgets the base",
        "_trajectory_limit(acts, mdp, base, undecided)",
        "_trajectory_limit(acts, mdp, jnp.ones_like(base), undecided)",
        LIMITS,
    ),
)

MEASURED = (
    Mutant(
        f"{METRICS}._distance",
        "a total variation counts both what goes and what comes",
        "return 0.5 * jnp.sum(",
        "return 1.0 * jnp.sum(",
        DISTANCES,
    ),
    Mutant(
        f"{METRICS}._largest",
        "states that are not marked count",
        "jnp.where(states, distance, 0)",
        "jnp.where(states, distance, distance)",
        DISTANCES,
    ),
    Mutant(
        f"{METRICS}.visited_total_variation",
        "visits are no shares",
        "normalized=True",
        "normalized=False",
        DISTANCES,
    ),
    Mutant(
        f"{METRICS}._divergence",
        "KL is finite where the other policy does not go",
        "jnp.any(goes & ~(other > 0), axis=-1)",
        "jnp.any(goes & ~goes, axis=-1)",
        "metrics.py::test_kl_is_infinite_where_the_other_policy_does_not_go",
    ),
    Mutant(
        f"{METRICS}._flips",
        "an action that becomes optimal is no flip",
        "(before.optimal & after.suboptimal) | (before.suboptimal & after.optimal)",
        "before.optimal & after.suboptimal",
        "metrics.py::test_an_action_that_becomes_optimal_is_a_flip_too",
    ),
    Mutant(
        f"{METRICS}._flips",
        "what may have flipped has",
        "(before.optimal & after.suboptimal)",
        "(before.optimal & ~after.optimal)",
        "metrics.py::test_an_action_that_becomes_optimal_is_a_flip_too",
    ),
    Mutant(
        f"{METRICS}._between",
        "the lower end of a Hausdorff distance takes undecided actions for suboptimal",
        "lower = jnp.maximum(excess(certain[0], possible[1]), excess(certain[1], possible[0]))",
        "lower = jnp.maximum(excess(certain[0], certain[1]), excess(certain[1], certain[0]))",
        "metrics.py::test_hausdorff_distance_brackets_every_way_to_decide",
    ),
    Mutant(
        f"{METRICS}._between",
        "the upper end of a Hausdorff distance is one-sided",
        "upper = jnp.maximum(excess(possible[0], certain[1]), excess(possible[1], certain[0]))",
        "upper = excess(possible[0], certain[1])",
        "metrics.py::test_hausdorff_distance_brackets_every_way_to_decide",
    ),
    Mutant(
        f"{METRICS}.regret",
        "regret is measured in the best state and not from the start",
        "best = _at_start(mdp.initial, solve(mdp, rewards).values)",
        "best = jnp.max(solve(mdp, rewards).values, axis=-1)",
        "metrics.py::test_returns_and_regrets",
    ),
    Mutant(
        f"{METRICS}._per_unit",
        "a policy that moved though nothing changed is not sensitive",
        "still = jnp.where(moved > 0, jnp.inf,",
        "still = jnp.where(moved > 0, 0,",
        "metrics.py::test_a_policy_that_moves_though_nothing_changes_is_infinitely_sensitive",
    ),
)

PERTURBED = (
    Mutant(
        f"{STEPS}.inside",
        "draws from a ball crowd around its centre",
        "** (1 / entries)",
        "** 1",
        "perturb.py::test_a_ball_is_filled_uniformly_and_reports_its_norms[2]",
    ),
    Mutant(
        "jaxcliff.core.numerics.norm_of",
        "entries that do not count are in a norm",
        "size = jnp.where(counts, jnp.abs(reward - other), 0)",
        "size = jnp.abs(reward - other)",
        "perturb.py::test_a_sphere_is_at_its_distance_in_every_direction[2-2]",
    ),
    Mutant(
        "jaxcliff.core.numerics.norm_of",
        "the root of a norm is forgotten",
        "axis=(-2, -1)) ** (1 / p)",
        "axis=(-2, -1))",
        "perturb.py::test_a_ball_is_filled_uniformly_and_reports_its_norms[2]",
    ),
    Mutant(
        f"{PERTURB}._sum",
        "entries that do not count are changed",
        "jnp.where(counts, base + size * step, base)",
        "base + size * step",
        "perturb.py::test_a_ball_is_filled_uniformly_and_reports_its_norms[inf]",
    ),
    Mutant(
        f"{STEPS}.scattered",
        "entries that do not count are among those drawn",
        "jnp.where(mdp.decisions, jax.random.uniform(which, shape, mdp.dtype), jnp.inf)",
        "jax.random.uniform(which, shape, mdp.dtype)",
        "perturb.py::test_random_families_have_the_distribution_they_say",
    ),
    Mutant(
        f"{PERTURB}._shaped",
        "terminal states have a potential",
        "potentials = jnp.where(mdp.terminal, 0, potentials)",
        "potentials = 1 * potentials",
        "perturb.py::test_shaping_and_constants_are_null_where_they_should_be[proper]",
    ),
    Mutant(
        f"{STEPS}.among",
        "reward is not only moved but made",
        "jnp.where(tied, noise - jnp.sum(noise, axis=-1, keepdims=True) / number, 0)",
        "jnp.where(tied, noise, 0)",
        "perturb.py::test_redistribution_moves_reward_among_ties_only",
    ),
    Mutant(
        f"{PERTURB}._parts",
        "a component is left out twice",
        "jnp.sum(parts, axis=0), -parts",
        "jnp.sum(parts, axis=0), -2 * parts",
        "perturb.py::test_a_mixture_without_one_of_its_components",
    ),
    Mutant(
        f"{PERTURB}.quantized",
        "a reward in int8 has half of the steps",
        "jnp.abs(base), 0)) / 127",
        "jnp.abs(base), 0)) / 63",
        "perturb.py::test_quantisation_is_within_half_a_step[int8-None]",
    ),
    Mutant(
        f"{PERTURB}.plane",
        "the axes of a plane of rewards are exchanged",
        "xs[:, None, None] * x + ys[:, None, None, None] * y",
        "xs[:, None, None] * y + ys[:, None, None, None] * x",
        "perturb.py::test_rays_planes_and_the_way_to_the_nearest_cliff",
    ),
    Mutant(
        "jaxcliff.rewards.inverse._bumped",
        "the exact norm of a bump forgets the way back to the state",
        "own = jnp.abs(size - into[state, action])",
        "own = jnp.abs(size)",
        "problems.py::test_self_return_is_tied_and_its_bump_is_cheap[1.0]",
    ),
    Mutant(
        "jaxcliff.rewards.inverse._discounted",
        "terminal states are worth their action values",
        "values = jnp.where(mdp.terminal, 0, values)",
        "values = 1 * values",
        "problems.py::test_terminal_states_are_worth_nothing_in_the_inverse_of_bellmans_equation",
    ),
)

AGGREGATED = (
    Mutant(
        f"{AGGREGATE}._bayes",
        "Bayes' rule forgets the prior",
        "joint = prior * visits",
        "joint = visits + 0 * prior",
        "aggregate.py::test_elsewhere_the_exact_weights_depend_on_the_policy",
    ),
    Mutant(
        f"{AGGREGATE}._reach",
        "a prefix does not belong to the prompt that it continues",
        "reach.append(inherited + own)",
        "reach.append(0 * inherited + own)",
        "aggregate.py::test_on_a_tree_the_posterior_mixture_is_the_objective_itself",
    ),
    Mutant(
        f"{AGGREGATE}._softmax",
        "a gate forgets its sharpness",
        "jax.nn.softmax(sharpness *",
        "jax.nn.softmax(sharpness**0 *",
        "aggregate.py::test_the_gate_attains_its_constant_for_two_rewards",
    ),
    Mutant(
        f"{AGGREGATE}._argmax",
        "a gate with a NaN score chooses all the same",
        "jnp.where(jnp.any(jnp.isnan(scores), axis=-2, keepdims=True), jnp.nan, jnp.moveaxis(chosen, -1, -2))",
        "jnp.moveaxis(chosen, -1, -2)",
        "aggregate.py::test_a_gate_with_a_score_that_is_no_number_chooses_nothing",
    ),
    Mutant(
        f"{AGGREGATE}._soft_min",
        "a soft minimum is a sum and no mean",
        "near = jnp.log1p(jnp.mean(",
        "near = jnp.log1p(jnp.sum(",
        "aggregate.py::test_the_soft_minimum_of_two_numbers",
    ),
    Mutant(
        f"{AGGREGATE}._soft_min",
        "a soft minimum is a soft maximum",
        "exponent = -(rewards - centre) / strength",
        "exponent = (rewards - centre) / strength",
        "aggregate.py::test_soft_minimum_and_lexicographic_order",
    ),
    Mutant(
        f"{AGGREGATE}._penalised",
        "disagreement is paid for by its root",
        "jnp.var(rewards, axis=-3)",
        "jnp.std(rewards, axis=-3)",
        f"{LIPSCHITZ}[variance]",
    ),
    Mutant(
        f"{AGGREGATE}._in_order",
        "the last reward decides first",
        "powers = epsilon ** jnp.arange(rewards.shape[-3])",
        "powers = epsilon ** -jnp.arange(rewards.shape[-3])",
        "aggregate.py::test_soft_minimum_and_lexicographic_order",
    ),
    Mutant(
        f"{AGGREGATE}.lipschitz",
        "a Lipschitz constant is that of one component alone",
        "jnp.sum(jnp.abs(slope), axis=(-3, -1))",
        "jnp.max(jnp.sum(jnp.abs(slope), axis=-1), axis=-2)",
        f"{LIPSCHITZ}[constant]",
    ),
    Mutant(
        "jaxcliff.rewards.models.preference_loss",
        "the rejected trajectory is preferred",
        "rejected.returns(reward) - preferred.returns(reward)",
        "preferred.returns(reward) - rejected.returns(reward)",
        "models.py::test_losses_are_those_of_their_definitions",
    ),
    Mutant(
        "jaxcliff.rewards.models._returns",
        "the steps of a trajectory have no weights",
        "weights.astype(reward.dtype) * reward[",
        "reward[",
        "models.py::test_losses_are_those_of_their_definitions",
    ),
    Mutant(
        "jaxcliff.rewards.models.Gate.__call__",
        "the weights of a gate sum to 1 over states",
        "axis=-1), -1, -2)",
        "axis=-2), -1, -2)",
        "models.py::test_a_gate_learns_which_reward_applies_where",
    ),
    Mutant(
        "jaxcliff.theory.soft_jump_linear",
        "the bound on a soft jump is twice as small",
        "size * steps / (2 * strength)",
        "size * steps / (4 * strength)",
        "regularizers.py::test_the_fork_attains_the_tanh_bound[entropy]",
    ),
    Mutant(
        "jaxcliff.theory.sparsemax_jump",
        "the bound of sparsemax is that of two actions",
        "2 * (actions // 2) * (actions - actions // 2) / (actions * strength)",
        "1 / strength",
        "regularizers.py::test_sparsemax_stays_within_its_own_constant_and_attains_it",
    ),
    Mutant(
        "jaxcliff.theory.chi_square",
        "χ² is off by its constant",
        "jnp.where(inside, base, 1), 0), axis=-1) - 1",
        "jnp.where(inside, base, 1), 0), axis=-1)",
        "regularizers.py::test_each_regularizer_stays_within_its_law_and_attains_its_constant[forward_kl-3]",
    ),
    Mutant(
        "jaxcliff.theory.mixture_bound",
        "a mixture moves by the whole change of its weights",
        "* span / 2",
        "* span",
        "aggregate.py::test_mixtures_move_by_half_the_change_of_weights_times_the_span",
    ),
    Mutant(
        "jaxcliff.theory.gate_constant",
        "the constant of a gate forgets the rewards themselves",
        "return 1 + sharpness",
        "return sharpness",
        "aggregate.py::test_the_gate_attains_its_constant_for_two_rewards",
    ),
)

MUTANTS = (*SELECTED, *MEASURED, *PERTURBED, *AGGREGATED)
