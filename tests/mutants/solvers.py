"""Faults in solving: methods, blocks, visits, regularisers, derivatives."""

from tests.mutants import Mutant

SOFT, DIVERGENCES = "jaxcliff.operators.regularizers", "jaxcliff.operators.divergences"

EARNS_AND_PAYS = "regularizers.py::test_the_value_is_what_the_policy_earns_and_pays"
NEAR_THE_BASE = "shared.py::test_policies_near_the_base_are_evaluated_through_it[garnet]"

METHODS = (
    Mutant(
        "jaxcliff.operators.selection.mask_illegal",
        "illegal actions are worth 0",
        "jnp.where(legal, q, jnp.finfo(q.dtype).min)",
        "jnp.where(legal, q, 0)",
        "bounds.py::test_error_never_exceeds_its_bound[float64-masked]",
    ),
    Mutant(
        "jaxcliff.operators.selection.distributions",
        "a policy may have mass on illegal actions",
        "& (outside <= 1e-5) ",
        "",
        "evaluate.py::test_occupancy_refuses_what_evaluate_refuses",
    ),
    Mutant(
        "jaxcliff.operators.selection.Average.rounding",
        "the rounding of a mean is left out",
        "drift + (2 * self.probabilities.shape[-1] + 4) * u",
        "0 * drift",
        "evaluate.py::test_gaps_of_an_averaged_bandit_stay_within_their_bound",
    ),
    Mutant(
        "jaxcliff.solvers.methods.policy_iteration.improve_policies",
        "actions are switched to what is worse",
        "advantage = (best - own) * (1 - 4 * u)",
        "advantage = (own - best) * (1 - 4 * u)",
        "shared.py::test_sweeps_that_do_not_suffice_are_followed_by_solves",
    ),
    Mutant(
        "jaxcliff.solvers.methods.newton.newton",
        "a step of Newton's has no bonus",
        'bonus = v - contract("bsa,bsa->bs", policy, q)',
        "bonus = 0 * v",
        "regularizers.py::test_soft_policy_iteration_is_newtons_method[entropy]",
    ),
    Mutant(
        "jaxcliff.core.loop.iterate",
        "a lane that has finished goes on with its neighbours",
        "jnp.where(along(on, old), new, old)",
        "jnp.where(along(on | True, old), new, old)",
        "transformations.py::test_a_lane_that_has_finished_stands_still",
    ),
    Mutant(
        "jaxcliff.solvers.plans._assemble",
        "values out of range are no failure",
        "jnp.where(batch.failed | finite, batch.status, int(Status.OUT_OF_RANGE))",
        "1 * batch.status",
        "extremes.py::test_overflow_is_a_status_and_underflow_a_bound[value_iteration]",
    ),
    Mutant(
        "jaxcliff.solvers.methods.factorize.factor",
        "the mean is taken off where a level is pinned, and nowhere else",
        "if not mdp.pinned:",
        "if mdp.pinned:",
        "shared.py::test_advantages_are_those_of_the_base_policy[garnet]",
    ),
    Mutant(
        "jaxcliff.solvers.methods.factorize._normals",
        "a normal has no entry of the action itself",
        ".add(1)",
        ".add(0)",
        "shared.py::test_advantages_are_those_of_the_base_policy[garnet]",
    ),
    Mutant(
        "jaxcliff.solvers.methods.factorize.evaluate_nearby",
        "policies beyond the capacity are evaluated too",
        "(rank[:, -1] <= size) & ~batch.failed",
        "~batch.failed",
        NEAR_THE_BASE,
    ),
    Mutant(
        "jaxcliff.solvers.methods.factorize.evaluate_nearby",
        "of several switches the last one counts",
        "rank = jnp.cumsum(differs, axis=-1, dtype=jnp.int32)",
        "rank = differs.astype(jnp.int32)",
        NEAR_THE_BASE,
    ),
    Mutant(
        "jaxcliff.solvers.methods.factorize.evaluate_nearby",
        "advantages are those of values with another level",
        "ahead = ahead - batch.discount * jnp.mean(values, axis=-1)[:, None, None]",
        "ahead = 1 * ahead",
        NEAR_THE_BASE,
    ),
)

BLOCKWISE = (
    Mutant(
        "jaxcliff.solvers.methods.value_iteration._ahead",
        "changes that are no series are added up",
        "rest <= ALIGNED",
        "rest <= jnp.inf",
        "value_iteration.py::test_only_series_are_added_up",
    ),
    Mutant(
        "jaxcliff.solvers.methods.value_iteration._ahead",
        "errors that change their sign are left",
        "jnp.where(near, ahead[1] * now[1], 0)",
        "0 * v",
        "value_iteration.py::test_only_series_are_added_up",
    ),
    Mutant(
        "jaxcliff.solvers.methods.value_iteration._ahead",
        "two errors at once are taken for one",
        "jnp.stack([v - middle, v - last])",
        "jnp.stack([v - last, v - last])",
        "value_iteration.py::test_only_series_are_added_up",
    ),
    Mutant(
        "jaxcliff.solvers.methods.value_iteration._ahead",
        "a series may be slower than the problem",
        "(jnp.abs(ahead) <= batch.steps)",
        "(ahead == ahead)",
        "value_iteration.py::test_only_series_are_added_up",
    ),
    Mutant(
        "jaxcliff.solvers.methods.value_iteration.go_on",
        "a lane that went astray takes it for a rounding floor",
        "jnp.where(failed & (failures <= MISSES), jnp.inf, mark)",
        "1 * mark",
        "value_iteration.py::test_steps_too_far_cost_time_and_no_accuracy",
    ),
    Mutant(
        "jaxcliff.solvers.methods.value_iteration.go_on",
        "a lane may go astray for ever",
        " & (failures < MISSES)",
        "",
        "value_iteration.py::test_steps_too_far_cost_time_and_no_accuracy",
    ),
    Mutant(
        "jaxcliff.solvers.methods.value_iteration.begin",
        "values found in float32 stay in units of the largest reward",
        "found = state.h.astype(h.dtype) * unit",
        "found = state.h.astype(h.dtype)",
        "blocks.py::test_a_search_in_float32_reaches_no_other_answer",
    ),
    Mutant(
        "jaxcliff.solvers.methods.value_iteration.go_on",
        "a soft lane that gives up has finished",
        "finished if inverse is None else finished & (state.failures < FAILURES)",
        "finished",
        "shared.py::test_soft_lanes_take_chord_steps[masked]",
    ),
    Mutant(
        "jaxcliff.solvers.blocks._in_stages",
        "lanes that are left go on where others stood",
        "_taken(state, on, axis=-1)",
        "_taken(state, np.roll(on, 1), axis=-1)",
        "blocks.py::test_lanes_that_are_left_go_on_where_they_stood",
    ),
    Mutant(
        "jaxcliff.solvers.blocks._over_cores",
        "the last block answers for the lanes beside its own",
        "own, at = _filled(lanes, start, size)",
        "own, at = _filled(lanes, start - start % size, size)",
        "blocks.py::test_certificates_hold_however_values_were_found[sweeps]",
    ),
    Mutant(
        "jaxcliff.solvers.plans.counts",
        "sweeps that prepare for a method are among its steps",
        ' or stage != "sweeps"',
        " or bool(stage)",
        "blocks.py::test_sweeps_that_prepare_for_a_method_are_not_among_its_steps",
    ),
)

VISITS = (
    Mutant(
        "jaxcliff.solvers.methods.linear.policy_system",
        "an episode goes on from its end",
        "chain = jnp.where(mdp.terminal[:, None], 0, chain)",
        "chain = 1 * chain",
        "evaluate.py::test_what_follows_an_end_does_not_count",
    ),
    Mutant(
        "jaxcliff.solvers.methods.linear.policy_system",
        "the matrix is not deflated, and its start is",
        "system + discount / mdp.num_states",
        "system",
        "evaluate.py::test_occupancy_counts_visits[garnet]",
    ),
    Mutant(
        "jaxcliff.solvers.visits._deflated",
        "the start of the visits is not deflated",
        "return start + mdp.discount / (1 - mdp.discount) * total / mdp.num_states",
        "return start",
        "evaluate.py::test_occupancy_counts_visits[garnet]",
    ),
    Mutant(
        "jaxcliff.solvers.visits._by_solving",
        "visits are solved for without the transpose",
        "jnp.swapaxes(systems, -1, -2)",
        "1 * systems",
        "evaluate.py::test_occupancy_counts_visits[garnet]",
    ),
    Mutant(
        "jaxcliff.solvers.visits._by_following",
        "visits are followed until a thousandth is left",
        "left > u *",
        "left > 1e-3 *",
        "evaluate.py::test_visits_are_the_same_solved_and_followed",
    ),
    Mutant(
        "jaxcliff.solvers.visits._at_work",
        "terminal states are visited",
        "return states if mdp.terminal is None else",
        "return states if True else",
        "evaluate.py::test_occupancy_counts_visits[proper]",
    ),
    Mutant(
        "jaxcliff.solvers.evaluate._reached",
        "illegal actions lead somewhere",
        "reached[:, None] & mdp.decisions",
        "reached[:, None] & (mdp.decisions | True)",
        "evaluate.py::test_reachable_follows_every_policy",
    ),
)

REGULARIZERS = (
    Mutant(
        f"{SOFT}.Regularizer.value",
        "a strength of 0 is one of 1",
        "jnp.where(soft, top + more, best)",
        "top + more",
        "regularizers.py::test_strength_zero_is_the_hard_operator_per_lane_and_per_state[entropy]",
    ),
    Mutant(
        f"{SOFT}.Regularizer.checked",
        "a strength may be negative",
        " & (self.strength >= 0)",
        "",
        "regularizers.py::test_a_bad_lane_of_strengths_or_bases_fails_alone",
    ),
    Mutant(
        "jaxcliff.solvers.solution._soft_policy",
        "at strength 0 the first of tied actions is taken",
        "jnp.where(soft, regularizer.policy(finite, legal), jax.lax.stop_gradient(hard))",
        "regularizer.policy(finite, legal)",
        "regularizers.py::test_zero_strength_at_a_tie_is_uniform_over_what_is_not_certainly_worse",
    ),
    Mutant(
        f"{SOFT}.Entropy.soft_policy",
        "the entropy-regularised policy is twice as sharp",
        "tilted(Exponential(), _exponent(gap, strength), mass)",
        "tilted(Exponential(), _exponent(gap, strength / 2), mass)",
        "regularizers.py::test_the_first_order_condition_holds[entropy]",
    ),
    Mutant(
        f"{SOFT}.KL.soft_value",
        "the mass of the base plays no part in the value",
        "total = jnp.sum(mass * jnp.exp(",
        "total = jnp.sum(jnp.exp(",
        "regularizers.py::test_the_first_order_condition_holds[kl]",
    ),
    Mutant(
        f"{SOFT}.KL.soft_policy",
        "the mass of the base plays no part in the policy",
        "_exponent(gap, strength), mass)",
        "_exponent(gap, strength), 1 + 0 * mass)",
        "regularizers.py::test_the_first_order_condition_holds[kl]",
    ),
    Mutant(
        f"{SOFT}._WithBase.support",
        "actions without base mass take part",
        "return self.mass(self.base, mdp.legal) > 0",
        "return mdp.legal",
        "regularizers.py::test_an_action_without_base_mass_is_illegal_and_its_reward_ignored",
    ),
    Mutant(
        f"{SOFT}.Sparsemax.soft_policy",
        "the threshold of sparsemax is that of another strength",
        "_power(gap, strength / n)",
        "_power(gap, strength)",
        f"{EARNS_AND_PAYS}[proper-sparsemax]",
    ),
    Mutant(
        f"{SOFT}.Sparsemax.soft_value",
        "the constant of sparsemax is left out",
        "(mean / n + (1 - 1 / n) / 2)",
        "(mean / n)",
        f"{EARNS_AND_PAYS}[proper-sparsemax]",
    ),
    Mutant(
        f"{SOFT}._rounding_of_exponentials",
        "the rounding of a log-sum-exp is left out",
        "u * strength * (2 * q.shape[-1] + 16 + 12 * reach)",
        "0 * u * strength",
        "soft_bounds.py::test_the_operator_counts_its_own_rounding[entropy]",
    ),
    Mutant(
        f"{DIVERGENCES}.JensenShannon.conjugate",
        "the conjugate of Jensen-Shannon lacks its constant",
        "jnp.log((u + 1) / 2)",
        "jnp.log(u + 1)",
        f"{EARNS_AND_PAYS}[ending_tree-jensen_shannon]",
    ),
    Mutant(
        f"{DIVERGENCES}.BelowOne.ratio",
        "the policy of an α-divergence has the power of another order",
        "** (1 / self.power) / larger",
        "** self.power / larger",
        f"{EARNS_AND_PAYS}[masked-hellinger]",
    ),
    Mutant(
        f"{DIVERGENCES}.JensenShannon.slope",
        "the slope of Jensen-Shannon is that of KL",
        "mass * (u + 1)",
        "1 * mass",
        "regularizers.py::test_each_regularizer_stays_within_its_law_and_attains_its_constant[jensen_shannon-3]",
    ),
    Mutant(
        f"{DIVERGENCES}.soft_maximum",
        "what is left of a multiplier's residual is not in the bound",
        "return value, rounding + residual * width",
        "return value, 0 * rounding",
        "soft_bounds.py::test_the_operator_counts_its_own_rounding[jensen_shannon]",
    ),
)

DERIVATIVES = (
    Mutant(
        "jaxcliff.solvers.derivatives._tangent",
        "rows are differentiated without the division by their sums",
        "after = after / jnp.where(total > 0, total, 1)",
        "after = 1 * after",
        "derivatives.py::test_the_gradient_of_a_hard_optimum_is_its_occupancy",
    ),
    Mutant(
        "jaxcliff.solvers.derivatives._attach_tangent",
        "values are differentiated without their offset",
        "values = v + solution.offset[..., None]",
        "values = v + 0 * solution.offset[..., None]",
        "derivatives.py::test_the_gradient_of_a_hard_optimum_is_its_occupancy",
    ),
    Mutant(
        "jaxcliff.solvers.derivatives._tangent",
        "what follows an action does not move",
        "dq + mdp.discount * mdp.expect(dv)",
        "dq + 0 * mdp.expect(dv)",
        "derivatives.py::test_the_hypergradient_formula",
    ),
    Mutant(
        "jaxcliff.solvers.derivatives._tangent",
        "the regulariser's own numbers do not move",
        "policy, dq) + own, 0))",
        "policy, dq) + 0 * own, 0))",
        "derivatives.py::test_the_gradients_of_temperature_and_base_in_closed_form",
    ),
    Mutant(
        "jaxcliff.solvers.visits._over_rows",
        "visits are differentiated without the division of rows by their sums",
        "return taken / (total / jax.lax.stop_gradient(total))",
        "return taken",
        "visits.py::test_occupancy_is_differentiable_in_everything_it_is_made_of[large_chain]",
    ),
    Mutant(
        "jaxcliff.solvers.jacobian.SoftJacobian._pulled_back",
        "a soft policy depends on the rewards of its own state only",
        "pull + states[..., None] * self.policy",
        "pull + 0 * states[..., None] * self.policy",
        "derivatives.py::test_the_soft_jacobian_is_the_derivative_and_its_closed_form[sparsemax]",
    ),
    Mutant(
        "jaxcliff.solvers.jacobian.SoftJacobian.local_constant",
        "the local constant of few actions is halved",
        "exact = jnp.max(4 * part * (1 - part), axis=-1)",
        "exact = jnp.max(2 * part * (1 - part), axis=-1)",
        "regularizers.py::test_each_regularizer_stays_within_its_law_and_attains_its_constant[entropy-3]",
    ),
    Mutant(
        "jaxcliff.solvers.jacobian.SoftJacobian.lipschitz",
        "how steep a soft policy is, is measured by single actions",
        'contract("ka,ai->ki", _subsets(a, rows.dtype), rows)',
        "rows[:1]",
        "regularizers.py::test_lipschitz_constants_bracket_what_is_measured[3]",
    ),
)

MUTANTS = (*METHODS, *BLOCKWISE, *VISITS, *REGULARIZERS, *DERIVATIVES)
