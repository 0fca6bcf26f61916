"""What perturbations of equal norm do: nothing, or the full jump; it is their direction that counts, not their size."""

from typing import Any

import numpy as np

from jaxcliff import policies
from jaxcliff.claims import instances as draw
from jaxcliff.claims.continuity import acts_of
from jaxcliff.claims.framework import U
from jaxcliff.claims.registry import Batch, Found, claim
from jaxcliff.model.mdp import MDP
from jaxcliff.rewards import perturb
from jaxcliff.solvers.evaluate import evaluate, occupancy
from jaxcliff.solvers.solve import solve

SECTION = "Perturbations of equal norm"
DEPTH, BEHIND = 2, 0.25  # of the trees, and by how much all other leaves are behind the optimal ones, at least


def _leaves(rng: Any, count: int) -> Batch:
    """A tree with m optimal leaves of value 1, all others behind; sizes from a thousandth to 100 times that."""
    mdp = draw.tree(rng, depth=DEPTH)
    last = np.broadcast_to(draw.leaves(mdp) > 0, mdp.reward.shape)
    values = np.where(last, rng.uniform(0, 1 - BEHIND, size=(count, *mdp.reward.shape)), 0)
    m = int(rng.integers(2, 6))
    order = np.where(last, rng.random(values.shape), 2).reshape(count, -1).argsort(axis=-1)
    best = np.zeros((count, mdp.reward.size), bool)
    np.put_along_axis(best, order[:, :m], True, axis=-1)
    best = best.reshape(values.shape)
    values[best] = 1
    return Batch(mdp, {"rewards": values, "best": best, "size": 10 ** rng.uniform(-3, 2, size=count)})


def jump(mdp: MDP, rewards: Any, others: Any) -> tuple[Any, Any]:
    """(TV of sequences between the uniform choices among optimal ones, in how many states a tie is undecided)."""
    acts = [acts_of(mdp, r) for r in (rewards, others)]
    ends = [np.asarray(occupancy(mdp, policies.entropy_limit(each, mdp))) * draw.leaves(mdp) for each in acts]
    unsure = sum(np.asarray(each.undecided.any(axis=(-2, -1)), float) for each in acts)
    return np.abs(ends[1] - ends[0]).sum(axis=(1, 2)) / 2, unsure


def _shaped(rng: Any, count: int) -> Batch:
    mdp, arrays = _leaves(rng, count)
    potentials = rng.uniform(-1, 1, size=(count, mdp.num_states)) * arrays["size"][:, None]
    return Batch(mdp, arrays | {"potentials": potentials})


@claim(
    "NC1 shaping",
    "Shaping by potentials, and a constant where all episodes are as long, change no policy, whatever their size.",
    formula="TV = 0",
    kind="exact",
    source="new",
    instances=_shaped,
)
def null_directions_change_nothing(mdp: MDP, rewards: Any, best: Any, size: Any, potentials: Any) -> Found:
    shaped = perturb.shaping(mdp, potentials=potentials).rewards - mdp.reward
    change = np.asarray(shaped) + size[:, None, None] * np.asarray(mdp.decisions)
    # Ties are up to rounding: of sums as large as the potentials.
    acts = [policies.optimal_actions(solve(mdp, r), 1e-12) for r in (rewards, rewards + change)]
    two = [np.asarray(policies.uniform(each)) for each in acts]
    return Found(np.abs(two[1] - two[0]).sum(axis=-1).max(axis=-1) / 2, 0.0, 8 * U)


@claim(
    "NC1 inside the tie",
    "Redistribution of zero sum inside a tie makes the full jump at any size: to the best of the tied, who were m.",
    formula="TV of sequences = 1 − (share of the tied that are best after it)",
    kind="exact",
    source="new",
    instances=_leaves,
    mutant=lambda found: found._replace(bound=found.bound / 2),
)
def redistribution_makes_the_full_jump(mdp: MDP, rewards: Any, best: Any, size: Any) -> Found:
    m = best.sum(axis=(1, 2))
    noise = np.where(best, np.cumsum(best.reshape(len(best), -1), axis=-1).reshape(best.shape), 0.0)
    noise -= best * (noise.sum(axis=(1, 2)) / m)[:, None, None]  # −(m−1)/2 … (m−1)/2: one leaf is best
    small = np.minimum(size, BEHIND / 2)[:, None, None] * noise / np.abs(noise).max(axis=(1, 2), keepdims=True)
    moved, unsure = jump(mdp, rewards, rewards + small)
    return Found(moved, 1 - 1 / m, 64 * U + unsure)


@claim(
    "NC1 constant on the tie",
    "A change that is the same on all tied leaves, and below half of the gap to the others, moves nothing.",
    formula="TV of sequences = 0",
    kind="exact",
    source="new",
    instances=_leaves,
)
def constants_on_the_tie_move_nothing(mdp: MDP, rewards: Any, best: Any, size: Any) -> Found:
    own = BEHIND / 2 * 0.999 * np.minimum(size, 1)[:, None, None]
    others = np.random.default_rng(1).choice([-1.0, 1.0], size=best.shape) * (draw.leaves(mdp) > 0)
    moved, unsure = jump(mdp, rewards, rewards + own * np.where(best, -1.0, others))
    return Found(moved, 0.0, 64 * U + unsure)


@claim(
    "NC1 outside the tie",
    "A change that touches other leaves only moves nothing below their whole gap.",
    formula="TV of sequences = 0",
    kind="exact",
    source="new",
    instances=_leaves,
)
def changes_outside_the_tie_move_nothing(mdp: MDP, rewards: Any, best: Any, size: Any) -> Found:
    own = BEHIND * 0.999 * np.minimum(size, 1)[:, None, None]
    moved, unsure = jump(mdp, rewards, rewards + own * np.where(best, 0.0, draw.leaves(mdp)))
    return Found(moved, 0.0, 64 * U + unsure)


@claim(
    "NC1 signs",
    "Whether a policy stays optimal is read off the signs of ⟨n, R + Δ⟩ alone, its walls', and off nothing else of Δ.",
    formula="(the policy leaves the optimal set) = (some ⟨n, R + Δ⟩ < 0)",
    kind="exact",
    source="new",
    instances=draw.chain_pairs,
    mutant=lambda found: found._replace(bound=1 - found.bound),
)
def signs_explain_every_flip(mdp: MDP, rewards: Any, changes: Any) -> Found:
    policy = policies.first(acts_of(mdp, rewards))
    taken = np.asarray(policy) > 0
    leaves = (taken & np.asarray(acts_of(mdp, rewards + changes).suboptimal)).any(axis=(-2, -1)).astype(float)
    walls = evaluate(mdp, policy, rewards + changes)
    gaps, wrong = np.asarray(walls.gaps), np.asarray(walls.gap_bound)
    near = (np.where(taken, np.inf, np.abs(gaps) - wrong) <= 0).any(axis=(-2, -1))
    signs = (np.where(taken, 0, gaps) < 0).any(axis=(-2, -1))
    return Found(leaves, signs.astype(float), near.astype(float))


@claim(
    "NC1 norm",
    "The norm explains next to nothing: over null directions and redistributions, R² of TV on log ‖Δ‖ is small.",
    formula="R² of TV on log ‖Δ‖ ≤ 1",
    kind="loose",
    source="new",
    instances=_shaped,
)
def norms_explain_nothing(mdp: MDP, rewards: Any, best: Any, size: Any, potentials: Any) -> Found:
    null = np.arange(len(size)) % 2 == 0
    m = best.sum(axis=(1, 2))
    tv = np.where(null, null_directions_change_nothing(mdp, rewards, best, size, potentials).measured, 1 - 1 / m)
    norm = np.where(null, size, np.minimum(size, BEHIND / 2))
    both = np.corrcoef(tv, np.log(norm))[0, 1] ** 2
    return Found(np.full(len(size), both), 1.0)
