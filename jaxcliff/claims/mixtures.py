"""Several rewards (Sections 4.1 to 4.3): the effective reward, its continuity, and how errors of one model reach it."""

from typing import Any

import numpy as np

from jaxcliff import metrics, policies, theory
from jaxcliff.claims import instances as draw
from jaxcliff.claims.continuity import acts_of, flipped
from jaxcliff.claims.framework import U, rounding, size_of
from jaxcliff.claims.registry import Batch, Found, claim
from jaxcliff.cliffs.radius import nearest_cliff
from jaxcliff.geometry import family
from jaxcliff.model.mdp import MDP
from jaxcliff.policies import optimal_actions
from jaxcliff.rewards import aggregate
from jaxcliff.rewards.inverse import inverse_bellman
from jaxcliff.solvers.evaluate import evaluate, occupancy
from jaxcliff.solvers.solve import solve

SECTION = "Several rewards"
MODELS = 3


def mixtures(rng: Any, count: int) -> Batch:
    """Three rewards of a chain, weights that depend on the state, and a change of each reward."""
    mdp = draw.chain(rng)
    shape = (count, MODELS)
    several = draw.rewards_of(rng, mdp, count * MODELS).reshape(*shape, *mdp.reward.shape)
    changes = draw.changes_of(rng, mdp, count * MODELS).reshape(several.shape)
    weights = np.moveaxis(rng.dirichlet(np.ones(MODELS), size=(count, mdp.num_states)), -1, 1)
    return Batch(mdp, {"several": several, "changes": changes, "weights": weights})


def _alike(rng: Any, count: int) -> Batch:
    """The same, where all rewards change alike."""
    mdp, arrays = mixtures(rng, count)
    return Batch(mdp, arrays | {"changes": np.broadcast_to(arrays["changes"][:, :1], arrays["changes"].shape)})


def _all_constant(rng: Any, count: int) -> Batch:
    """The same, where all rewards change by one number."""
    mdp, arrays = mixtures(rng, count)
    shifts = rng.uniform(0.05, 1, size=(count, 1, 1, 1))
    return Batch(mdp, arrays | {"changes": np.broadcast_to(shifts, arrays["changes"].shape)})


def mixed(several: Any, weights: Any) -> Any:
    """R_eff, in numpy."""
    return np.asarray(aggregate.linear(several, weights))


@claim(
    "4.2",
    "The effective reward moves by no more than the largest of its components does.",
    formula="‖R_eff − R_eff'‖ ≤ max_k ‖R_k − R_k'‖",
    kind="tight",
    instances=mixtures,
    equality=_alike,
    attained=1e-12,
)
def mixtures_do_not_amplify(mdp: MDP, several: Any, changes: Any, weights: Any) -> Found:
    moved = size_of(mdp, mixed(several + changes, weights) - mixed(several, weights))
    return Found(moved, size_of(mdp, changes).max(axis=-1), 16 * U * np.abs(several).max((1, 2, 3)))


@claim(
    "4.3",
    "Action values of the effective reward move by at most 1/(1 − γ) times the largest change of a component.",
    formula="‖ΔQ_eff‖ ≤ max_k ‖ΔR_k‖/(1 − γ)",
    kind="tight",
    instances=mixtures,
    equality=_all_constant,
    attained=1e-11,
)
def effective_values_are_lipschitz(mdp: MDP, several: Any, changes: Any, weights: Any) -> Found:
    one, two = mixed(several, weights), mixed(several + changes, weights)
    before, after = (solve(mdp, r, tolerance=1e-15) for r in (one, two))
    moved = size_of(mdp, np.asarray(after.q_values) - np.asarray(before.q_values))
    error = np.asarray(before.error_bound + after.error_bound) + 4 * rounding(mdp, one)
    return Found(moved, float(mdp.steps) * size_of(mdp, changes).max(axis=-1), error)


def _components_near(shares: Any) -> Any:
    """Changes of all components, each within so much of the radius of the mixture."""

    def drawn(rng: Any, count: int) -> Batch:
        mdp, arrays = mixtures(rng, count)
        near = nearest_cliff(mdp, mixed(arrays["several"], arrays["weights"]))
        size = np.where(np.isfinite(near.lower), near.lower, 1) * rng.uniform(*shares, size=count)
        signs = rng.choice([-1.0, 1.0], size=arrays["changes"].shape)
        return Batch(mdp, arrays | {"changes": signs * size[:, None, None, None]})

    return drawn


@claim(
    "4.4",
    "Sets of actions that are optimal for the effective reward cannot grow at once, in the norm of the tuple.",
    formula="states where an action joins within ρ = 0",
    kind="exact",
    instances=_components_near((0.1, 0.999)),
)
def effective_sets_do_not_grow(mdp: MDP, several: Any, changes: Any, weights: Any) -> Found:
    before, after = (acts_of(mdp, mixed(r, weights)) for r in (several, several + changes))
    return Found(np.asarray((before.suboptimal & after.optimal).any(-1).sum(-1), float), 0.0)


@claim(
    "4.5",
    "Where the effective optimum is unique its policy is continuous; the radius of the tuple is that of the mixture.",
    formula="states that flip when every component moves by up to .999 ρ(R_eff) = 0",
    kind="exact",
    source="corrected",
    instances=_components_near((0.5, 0.999)),
    told="mixing buys no slack: all components moved along the wall's direction flip it just beyond ρ(R_eff)",
)
def mixtures_are_continuous_where_unique(mdp: MDP, several: Any, changes: Any, weights: Any) -> Found:
    certain, unsure = flipped(mdp, mixed(several, weights), mixed(several + changes, weights))
    return Found(certain, 0.0, unsure)


def _tied_mixtures(rng: Any, count: int) -> Batch:
    """Components whose mixture has a planted tie."""
    mdp, arrays = draw.ties(rng, count)
    several = draw.rewards_of(rng, mdp, count * MODELS).reshape(count, MODELS, *mdp.reward.shape)
    weights = np.broadcast_to(
        rng.dirichlet(np.full(MODELS, 2.0), size=count)[..., None], (count, MODELS, mdp.num_states)
    )
    target = np.asarray(inverse_bellman(mdp, arrays["q"]))
    several[:, -1] = (target - mixed(several[:, :-1], weights[:, :-1])) / weights[:, -1, 0][:, None, None]
    higher = np.array(arrays["q"])
    higher[np.arange(count), 0, arrays["raised"]] += arrays["size"]
    names = {name: arrays[name] for name in ("tied", "size")}
    return Batch(
        mdp,
        names | {"several": several, "weights": weights, "moved": np.asarray(inverse_bellman(mdp, higher)) - target},
    )


def _jump(mdp: MDP, one: Any, two: Any, tolerance: Any) -> Any:
    """TV of uniform policies at the first state, gaps up to the rounding of a mixture being ties."""
    several = [policies.uniform(optimal_actions(solve(mdp, r), tolerance)) for r in (one, two)]
    return np.asarray(metrics.total_variation(*several))[:, 0]


@claim(
    "4.6",
    "At a tie of the effective reward both selections jump, however little all components move alike.",
    formula="TV of the uniform policy at the tied state = (m − 1)/m, with max_k ‖ΔR_k‖ ≤ ε",
    kind="exact",
    instances=_tied_mixtures,
)
def effective_policies_jump(mdp: MDP, several: Any, weights: Any, moved: Any, tied: Any, size: Any) -> Found:
    one, two = mixed(several, weights), mixed(several + moved[:, None], weights)
    over = np.maximum(size_of(mdp, moved) - size - rounding(mdp, one), 0)
    return Found(_jump(mdp, one, two, 1e-10) + over, theory.uniform_jump(tied), 4 * U)


@claim(
    "4.6 one model",
    "One model alone makes the same jump with ε/w: the smaller its weight, the more it has to be wrong.",
    formula="TV = (m − 1)/m, with ‖ΔR_k‖ ≤ ε/w_k and all other components as they are",
    kind="exact",
    source="new",
    instances=_tied_mixtures,
)
def one_model_needs_more(mdp: MDP, several: Any, weights: Any, moved: Any, tied: Any, size: Any) -> Found:
    alone = np.array(several)
    share = weights[:, 0, 0][:, None, None]
    alone[:, 0] += moved / share
    one, two = mixed(several, weights), mixed(alone, weights)
    over = np.maximum(size_of(mdp, moved / share) - size / share[:, 0, 0] - rounding(mdp, one) / share[:, 0, 0], 0)
    return Found(_jump(mdp, one, two, 1e-10) + over, theory.uniform_jump(tied), 4 * U)


def _constant_weights(rng: Any, count: int) -> Batch:
    mdp = draw.chain(rng)
    weights = rng.dirichlet(np.full(MODELS, 2.0))
    rewards = draw.rewards_of(rng, mdp, count)
    return Batch(mdp, {"rewards": rewards, "weights": np.broadcast_to(weights, (count, MODELS))})


@claim(
    "4.5 one model",
    "If one component alone may be wrong the distance to the nearest cliff is that of the mixture, over its weight.",
    formula="ρ_k = ρ(R_eff)/w_k",
    kind="exact",
    source="new",
    instances=_constant_weights,
)
def one_model_is_farther_from_a_cliff(mdp: MDP, rewards: Any, weights: Any) -> Found:
    own = family.component(weights[0], 0, mdp.num_actions)
    whole, alone = nearest_cliff(mdp, rewards), nearest_cliff(mdp, rewards, family=own)
    error = (whole.upper - whole.lower) / weights[:, 0] + alone.upper - alone.lower
    return Found(alone.radius, whole.radius / weights[:, 0], error + 8 * U * alone.radius)


def _policies_and_weights(rng: Any, count: int) -> Batch:
    mdp = draw.chain(rng)
    several = draw.rewards_of(rng, mdp, count * MODELS).reshape(count, MODELS, *mdp.reward.shape)
    policy = rng.dirichlet(np.ones(mdp.num_actions), size=(count, mdp.num_states))
    return Batch(mdp, {"several": several, "policy": policy, "prior": rng.dirichlet(np.ones(MODELS), size=count)})


@claim(
    "4.1",
    "Where all classes start alike and weights are their shares, the objective is the value of the effective reward.",
    formula="Σ_k p_k J_k(π) = E V^π_{R_eff}",
    kind="exact",
    instances=_policies_and_weights,
)
def the_objective_is_that_of_the_mixture(mdp: MDP, several: Any, policy: Any, prior: Any) -> Found:
    visits = np.asarray(occupancy(mdp, policy))
    whole = np.einsum("bk,bksa,bsa->b", prior, several, visits)
    sol = evaluate(mdp, policy, mixed(several, prior[..., None] * np.ones(mdp.num_states)))
    error = np.asarray(sol.error_bound) + 64 * rounding(mdp, *np.moveaxis(several, 1, 0))
    return Found(whole, np.asarray(sol.values) @ np.asarray(mdp.initial), error)


def _prompts(rng: Any, count: int) -> Batch:
    """A tree whose classes start from prompts of their own (the first tokens)."""
    mdp = draw.tree(rng)
    roots = np.arange(1, 1 + draw.VOCABULARY)
    starts = np.zeros((MODELS, mdp.num_states))
    starts[:, roots] = rng.dirichlet(np.ones(len(roots)), size=MODELS)
    several = draw.rewards_of(rng, mdp, count * MODELS).reshape(count, MODELS, *mdp.reward.shape)
    policy = rng.dirichlet(np.ones(mdp.num_actions), size=(count, mdp.num_states))
    names = {"prior": np.broadcast_to(rng.dirichlet(np.ones(MODELS)), (count, MODELS))}
    return Batch(
        mdp, names | {"several": several, "policy": policy, "starts": np.broadcast_to(starts, (count, *starts.shape))}
    )


@claim(
    "4.1 prompts",
    "In a tree of tokens the objective is that of the mixture for any prompts, with the weights P(k | prompt).",
    formula="Σ_k p_k J_k(π) = E V^π_{R_eff}",
    kind="exact",
    source="new",
    instances=_prompts,
)
def prompts_make_it_exact(mdp: MDP, several: Any, policy: Any, prior: Any, starts: Any) -> Found:
    p, d = prior[0], starts[0]
    whole = 0.0
    for k in range(MODELS):
        visits = np.asarray(occupancy(mdp.replace(initial=d[k]), policy))
        whole = whole + p[k] * np.einsum("bsa,bsa->b", several[:, k], visits)
    sol = evaluate(mdp, policy, mixed(several, np.asarray(aggregate.prompts(mdp, p, d))))
    error = np.asarray(sol.error_bound) + 64 * rounding(mdp, *np.moveaxis(several, 1, 0))
    return Found(whole, np.asarray(sol.values) @ (p @ d), error)
