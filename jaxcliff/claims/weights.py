"""The weights of a mixture (Sections 4.1 and 4.6): what they do, and what becomes of them if they look at rewards."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxcliff import theory
from jaxcliff.claims import instances as draw
from jaxcliff.claims.entropy import soft
from jaxcliff.claims.framework import U, size_of
from jaxcliff.claims.mixtures import MODELS, mixed, mixtures
from jaxcliff.claims.registry import Batch, Found, claim
from jaxcliff.cliffs.radius import nearest_cliff
from jaxcliff.geometry import family
from jaxcliff.model.mdp import MDP
from jaxcliff.problems import contextual_bandit
from jaxcliff.rewards import aggregate
from jaxcliff.solvers.evaluate import occupancy
from jaxcliff.solvers.solve import solve

SECTION = "Weights"


def _weights(rng: Any, count: int) -> Batch:
    mdp, arrays = mixtures(rng, count)
    return Batch(
        mdp, {"several": arrays["several"], "one": arrays["weights"], "other": np.roll(arrays["weights"], 1, axis=0)}
    )


def _opposed(rng: Any, count: int) -> Batch:
    """Two rewards that are as far apart everywhere, and a third between."""
    mdp = draw.chain(rng)
    span = rng.uniform(0.5, 2, size=(count, 1, 1))
    several = np.stack(
        [
            span / 2 * np.ones(mdp.reward.shape),
            -span / 2 * np.ones(mdp.reward.shape),
            0 * span * np.ones(mdp.reward.shape),
        ],
        1,
    )
    w = rng.uniform(0, 1, size=(2, count))
    one, other = (np.stack([x, 1 - x, 0 * x], 1)[..., None] * np.ones(mdp.num_states) for x in w)
    return Batch(mdp, {"several": several, "one": one, "other": other})


@claim(
    "4 weights",
    "Other weights move the effective reward by at most half of their distance times how far components are apart.",
    formula="‖R_eff(w) − R_eff(w')‖ ≤ ½‖w − w'‖₁·max span_k R_k",
    kind="tight",
    source="new",
    instances=_weights,
    equality=_opposed,
    attained=1e-12,
)
def weights_move_a_mixture(mdp: MDP, several: Any, one: Any, other: Any) -> Found:
    moved = size_of(mdp, mixed(several, one) - mixed(several, other))
    span = size_of(mdp, several.max(axis=1) - several.min(axis=1))
    apart = np.abs(one - other).sum(axis=1).max(axis=-1) / 2
    return Found(moved, apart * span, 32 * U * np.abs(several).max((1, 2, 3)))


def _gated(rng: Any, count: int) -> Batch:
    mdp, arrays = mixtures(rng, count)
    return Batch(
        mdp,
        {"several": arrays["several"], "changes": arrays["changes"], "sharpness": np.full(count, rng.uniform(0.1, 10))},
    )


@claim(
    "4 gates",
    "Weights that look at the rewards are another map: a softmax gate of sharpness η multiplies the constant.",
    formula="‖ΔR_eff‖ ≤ (1 + η·Lip(g)·span/2)·max_k ‖ΔR_k‖",
    kind="loose",
    source="new",
    instances=_gated,
    told="a hard gate is η → ∞: the mixture itself jumps, and with it even a soft policy",
)
def gates_amplify(mdp: MDP, several: Any, changes: Any, sharpness: Any) -> Found:
    both = several, several + changes
    best = [np.asarray(r).max(axis=-1) for r in both]  # the score of a model: its best action here
    one, two = (mixed(r, np.asarray(aggregate.softmax_gate(g, sharpness[0]))) for r, g in zip(both, best, strict=True))
    span = np.maximum(*(size_of(mdp, r.max(axis=1) - r.min(axis=1)) for r in both))
    bound = theory.gate_constant(sharpness, 1.0, span) * size_of(mdp, changes).max(axis=-1)
    return Found(size_of(mdp, two - one), np.asarray(bound), 32 * U * np.abs(several).max((1, 2, 3)))


@claim(
    "4.1 weights",
    "In any problem there are weights with which the mixture is exact for every policy.",
    formula="distance of the exact weights of two policies = 0",
    kind="refuted",
    source="new",
    instances=lambda rng, count: _classes(rng, count),
    told="where classes meet in a state, who is served there depends on the policy; in a tree they never meet",
)
def exact_weights_depend_on_the_policy(mdp: MDP, policy: Any, other: Any, starts: Any) -> Found:
    several = []
    for each in (policy, other):
        visits = [np.asarray(occupancy(mdp.replace(initial=d), each)).sum(-1) for d in starts[0]]
        weights = np.stack(visits, axis=1)
        several.append(weights / weights.sum(axis=1, keepdims=True))
    return Found(np.abs(several[1] - several[0]).max(axis=(1, 2)), 0.0, 64 * U * float(mdp.steps))


def _classes(rng: Any, count: int) -> Batch:
    mdp = draw.chain(rng, (0.5, 0.9))
    starts = np.broadcast_to(rng.dirichlet(np.ones(mdp.num_states), size=MODELS), (count, MODELS, mdp.num_states))
    both = rng.dirichlet(np.ones(mdp.num_actions), size=(2, count, mdp.num_states))
    return Batch(mdp, {"policy": both[0], "other": both[1], "starts": starts})


def _weights_of_a_chain(rng: Any, count: int) -> Batch:
    """One table of weights per state, for all rewards."""
    mdp = draw.chain(rng)
    weights = rng.dirichlet(np.full(MODELS, 2.0), size=mdp.num_states).T
    rewards = draw.rewards_of(rng, mdp, count)
    return Batch(mdp, {"rewards": rewards, "weights": np.broadcast_to(weights, (count, *weights.shape))})


@claim(
    "4.5 one model's states",
    "Weights per state count where they are paid: one model's distance divides each wall's gap by its weighted normal.",
    formula="ρ_k = min gap(s, a)/Σ_s' w_k(s')‖n_{s,a}(s', ·)‖₁",
    kind="exact",
    source="new",
    instances=_weights_of_a_chain,
    told="the normals from a linear system of their own",
)
def one_model_is_weighed_where_it_is_paid(mdp: MDP, rewards: Any, weights: Any) -> Found:
    states, actions = mdp.reward.shape
    to = np.stack([np.asarray(mdp.expect(jnp.asarray(x))) for x in np.eye(states)], axis=-1) * float(mdp.discount)
    near = nearest_cliff(mdp, rewards, family=family.component(weights[0], 0, actions))
    radii, errors = [], []
    for reward, acts in zip(rewards, np.asarray(solve(mdp, rewards).q_values).argmax(-1), strict=True):
        taken = np.eye(actions)[acts]
        visits = np.linalg.inv(np.eye(states) - to[np.arange(states), acts])
        after = np.eye(states * actions).reshape(states, actions, states, actions)
        after = after + (to @ visits)[..., None] * taken
        normals = after[np.arange(states), acts][:, None] - after
        gaps = np.einsum("sazb,zb->sa", normals, reward)
        own = np.abs(normals).sum(-1) @ weights[0, 0]
        distances = np.where(taken > 0, np.inf, gaps / np.where(taken > 0, 1, own))
        radii.append(distances.min())
        errors.append(64 * U * float(mdp.steps) * (np.abs(reward).max() / own[taken == 0].min() + radii[-1]))
    return Found(near.radius, np.array(radii), near.upper - near.lower + np.array(errors) * float(mdp.steps))


def _at_the_gate(rng: Any, count: int) -> Batch:
    """Two arms, and two models that disagree and are equally sure; one becomes surer by a hair."""
    mdp = contextual_bandit(np.zeros((1, 2))).astype(np.float64)
    own = rng.uniform(0.1, 2, size=count)
    several = own[:, None, None, None] * np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    hair = own * 10 ** rng.uniform(-9, -3, size=count)
    return Batch(mdp, {"several": several, "hair": hair, "strength": rng.uniform(0.2, 2, size=count)})


@claim(
    "4 hard gate",
    "Where a gate takes the surest model the mixture itself jumps, and the soft policy with it: entropy is no help.",
    formula="TV of soft policies = tanh(r/(2α)) for every ε, r what a model pays",
    kind="exact",
    source="new",
    instances=_at_the_gate,
)
def hard_gates_move_soft_policies(mdp: MDP, several: Any, hair: Any, strength: Any) -> Found:
    surer = [several + hair[:, None, None, None] * np.eye(2)[k][:, None, None] * (several > 0) for k in range(2)]
    gates = [np.asarray(aggregate.hard_gate(r.max(axis=-1))) for r in surer]
    (one, wrong, _), (two, more, _) = (
        soft(mdp, mixed(r, gate), strength) for r, gate in zip(surer, gates, strict=True)
    )
    tv = np.abs(one - two)[:, 0].sum(-1) / 2
    paid = several.max((1, 2, 3))
    return Found(tv, np.tanh((paid + hair) / (2 * strength)), wrong + more + 16 * U * (1 + paid / strength))
