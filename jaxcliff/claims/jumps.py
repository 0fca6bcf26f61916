"""How policies jump at a tie (Sections 2.3, 3.2 and 3.3): bumps, jumps, missing rewards, broken ties."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxcliff import metrics, policies, problems, theory
from jaxcliff.claims import instances as draw
from jaxcliff.claims.continuity import acts_of
from jaxcliff.claims.framework import U, rounding, size_of
from jaxcliff.claims.registry import Batch, Found, claim
from jaxcliff.cliffs.repair import best_tiebreaker
from jaxcliff.model.mdp import MDP
from jaxcliff.rewards.inverse import inverse_bellman
from jaxcliff.solvers.evaluate import evaluate, occupancy
from jaxcliff.solvers.solve import solve

SECTION = "Jumps"


def bumped(mdp: MDP, q: Any, raised: Any, size: Any) -> tuple[Any, Any, Any]:
    """(reward of q, reward of q with an action raised, what is raised) for every instance."""
    higher = np.array(q)
    higher[np.arange(len(q)), 0, raised] += size
    return np.asarray(inverse_bellman(mdp, q)), np.asarray(inverse_bellman(mdp, higher)), higher


@claim(
    "C.1",
    "The bump is a function from 0 to 1 which is 1 at the action it raises and 0 at the actions that tie with it.",
    formula="largest violation of the four = 0",
    kind="exact",
    instances=draw.ties,
    told="over a discrete space, with δ up to the distance of the nearest action, it is the one-point bump",
)
def the_bump_is_a_bump(mdp: MDP, q: Any, tied: Any, raised: Any, size: Any) -> Found:
    delta = 1.0  # actions are 1 apart
    distance = np.ones(q.shape)
    distance[np.arange(len(q)), 0, raised] = 0
    phi = np.maximum(0, 1 - distance / delta)
    own = phi[np.arange(len(q)), 0, raised]
    others = np.where((q[:, 0] == q[:, 0].max(-1, keepdims=True)) & (distance[:, 0] > 0), phi[:, 0], 0)
    return Found(np.max([abs(own - 1), others.max(-1), (-phi).max((1, 2)), phi.max((1, 2)) - 1], axis=0), 0.0)


@claim(
    "2.9 inverse",
    "The reward R = Q − γP max Q has the action values Q, and no others.",
    formula="‖Q*_R − Q‖ = 0",
    kind="exact",
    instances=draw.ties,
)
def the_inverse_reward_has_these_values(mdp: MDP, q: Any, tied: Any, raised: Any, size: Any) -> Found:
    _, rewards, higher = bumped(mdp, q, raised, size)
    sol = solve(mdp, rewards)
    return Found(size_of(mdp, np.asarray(sol.q_values) - higher), 0.0, np.asarray(sol.error_bound) + rounding(mdp, q))


@claim(
    "2.9 bump",
    "The bump that raises a tied action by ε changes the reward by at most (1 + γ)ε.",
    formula="‖R_ε − R‖ ≤ (1 + γ)ε",
    kind="loose",
    instances=draw.bumps_into(None),
    told="never attained for γ > 0: the sharp bound is ε",
)
def a_bump_is_small(mdp: MDP, q: Any, tied: Any, raised: Any, size: Any) -> Found:
    before, after, _ = bumped(mdp, q, raised, size)
    return Found(size_of(mdp, after - before), (1 + float(mdp.discount)) * size, rounding(mdp, q))


@claim(
    "2.9 bump sharp",
    "The bump never needs more than ε, and needs all of it exactly where its action does not return to its state.",
    formula="‖R_ε − R‖ ≤ ε",
    kind="tight",
    source="new",
    instances=draw.bumps_into(None),
    equality=draw.bumps_into(0.0),
    attained=1e-9,
)
def a_bump_is_smaller(mdp: MDP, q: Any, tied: Any, raised: Any, size: Any) -> Found:
    before, after, _ = bumped(mdp, q, raised, size)
    return Found(size_of(mdp, after - before), size, rounding(mdp, q))


@claim(
    "2.9 bump exact",
    "The size of a bump, exactly: ε times the larger of 1 − γP(s|s, a) and γ times what comes into s elsewhere.",
    formula="‖R_ε − R‖ = ε·max(|1 − γP(s|s, a)|, γ max P(s|·))",
    kind="exact",
    source="new",
    instances=draw.bumps_into(None),
)
def a_bump_has_this_size(mdp: MDP, q: Any, tied: Any, raised: Any, size: Any) -> Found:
    before, after, _ = bumped(mdp, q, raised, size)
    into = np.asarray(mdp.expect(jnp.eye(mdp.num_states, dtype=mdp.dtype)[0]))
    elsewhere = np.broadcast_to(into, q.shape).copy()
    elsewhere[np.arange(len(q)), 0, raised] = 0
    own = np.abs(1 - float(mdp.discount) * into[0, raised])
    sharp = size * np.maximum(own, float(mdp.discount) * elsewhere.max(axis=(1, 2)))
    return Found(size_of(mdp, after - before), sharp, rounding(mdp, q))


@claim(
    "2.9",
    "At a tie any deterministic selection jumps: the bump at another tied action moves the policy by a TV of 1.",
    formula="TV at the tied state = 1, for every ε",
    kind="exact",
    instances=draw.ties,
)
def deterministic_policies_jump(mdp: MDP, q: Any, tied: Any, raised: Any, size: Any) -> Found:
    before, after, _ = bumped(mdp, q, raised, size)
    order = np.argsort(np.arange(q.shape[-1])[None] == raised[:, None], axis=-1, kind="stable")
    acts, then = acts_of(mdp, before), acts_of(mdp, after)
    first = np.asarray(acts.optimal)[:, 0][np.arange(len(q))[:, None], order].argmax(axis=-1)
    taken = np.eye(q.shape[-1])[order[np.arange(len(q)), first]]
    there = np.asarray(policies.first(then))[:, 0]
    return Found(np.abs(taken - there).sum(axis=-1) / 2, 1.0)


@claim(
    "2.9 value",
    "A jump costs nothing: optimal values move by no more than ε.",
    formula="‖V_ε − V‖ ≤ ε",
    kind="tight",
    instances=draw.ties,
    equality=draw.ties,
    attained=1e-4,
)
def a_jump_costs_nothing(mdp: MDP, q: Any, tied: Any, raised: Any, size: Any) -> Found:
    before, after, _ = bumped(mdp, q, raised, size)
    one, two = solve(mdp, before), solve(mdp, after)
    moved = np.abs(np.asarray(two.values) - np.asarray(one.values)).max(axis=-1)
    return Found(moved, size, np.asarray(one.error_bound + two.error_bound) + rounding(mdp, q))


@claim(
    "2.10",
    "The uniform selection jumps too: by (m − 1)/m, at least ½, when one of m tied actions is raised by any ε.",
    formula="TV at the tied state = (m − 1)/m",
    kind="exact",
    instances=draw.ties,
    mutant=lambda found: found._replace(bound=1 / (2 - found.bound)),  # m off by one
)
def uniform_policies_jump(mdp: MDP, q: Any, tied: Any, raised: Any, size: Any) -> Found:
    before, after, _ = bumped(mdp, q, raised, size)
    one, two = (policies.uniform(acts_of(mdp, r)) for r in (before, after))
    return Found(np.asarray(metrics.total_variation(one, two))[:, 0], theory.uniform_jump(tied), 4 * U)


def _two_sets(rng: Any, count: int) -> Batch:
    k = draw.ACTIONS
    first, second = (rng.random((count, k)) < 0.5 for _ in range(2))
    first[np.arange(count), rng.integers(k, size=count)] = second[np.arange(count), rng.integers(k, size=count)] = True
    mdp = problems.contextual_bandit(np.zeros((1, k))).astype(np.float64)
    return Batch(mdp, {"first": first[:, None].astype(float), "second": second[:, None].astype(float)})


@claim(
    "2.10 sets",
    "Between two sets of optimal actions, of m and j with c in common, uniform policies jump by 1 − c/max(m, j).",
    formula="TV = 1 − c/max(m, j)",
    kind="exact",
    source="new",
    instances=_two_sets,
)
def uniform_policies_jump_between_sets(mdp: MDP, first: Any, second: Any) -> Found:
    one, two = (policies.uniform(acts_of(mdp, r)) for r in (first, second))
    m, j, c = first.sum((1, 2)), second.sum((1, 2)), (first * second).sum((1, 2))
    return Found(np.asarray(metrics.total_variation(one, two))[:, 0], 1 - c / np.maximum(m, j), 4 * U)


@claim(
    "2.10 any rule",
    "A rule that breaks a tie with probabilities q jumps by 1 − q(a) towards the action a that is raised.",
    formula="TV at the tied state = 1 − q(a)",
    kind="exact",
    source="new",
    instances=lambda rng, count: with_base(rng, count),
)
def any_rule_jumps(mdp: MDP, q: Any, tied: Any, raised: Any, size: Any, base: Any) -> Found:
    before, after, _ = bumped(mdp, q, raised, size)
    acts, then = acts_of(mdp, before), acts_of(mdp, after)
    one, two = (policies.closest_to(each, base) for each in (acts, then))
    weights = np.where(np.asarray(acts.optimal)[:, 0], base[:, 0], 0)
    shares = weights[np.arange(len(q)), raised] / weights.sum(-1)
    return Found(np.asarray(metrics.total_variation(one, two))[:, 0], 1 - shares, 8 * U)


def with_base(rng: Any, count: int) -> Batch:
    mdp, arrays = draw.ties(rng, count)
    return Batch(mdp, arrays | {"base": rng.dirichlet(np.ones(mdp.num_actions), size=(count, mdp.num_states))})


def _missing(rng: Any, count: int) -> Batch:
    mdp, arrays = draw.ties(rng, count)
    return Batch(mdp, arrays | {"missing": draw.rewards_of(rng, mdp, count)})


@claim(
    "3.1",
    "A policy that ignores what a missing reward says of a tie loses at least its first visit times that advantage.",
    formula="E[γ^τ]·A_missing(s, a) ≤ regret under R + R_missing",
    kind="tight",
    source="corrected",
    instances=_missing,
    equality=lambda rng, count: _missing_once(rng, count),
    attained=1e-9,
    told="the paper says that it is strictly suboptimal; this says by how much, at least",
)
def ignored_rewards_are_missed(mdp: MDP, q: Any, tied: Any, raised: Any, size: Any, missing: Any) -> Found:
    rewards = np.asarray(inverse_bellman(mdp, q))
    acts = acts_of(mdp, rewards)
    taken = policies.first(acts)
    value = evaluate(mdp, taken, missing)
    rivals = np.where(np.asarray(acts.optimal)[:, 0], -np.asarray(value.gaps)[:, 0], -np.inf)
    best = np.maximum(rivals.max(axis=-1), 0)
    visits = np.asarray(occupancy(mdp, taken))[:, 0].sum(-1)
    there = mdp.replace(initial=np.eye(mdp.num_states)[0])
    again = np.asarray(occupancy(there, taken))[:, 0].sum(-1)
    lost = metrics.regret(mdp, taken, rewards + missing)
    error = np.asarray(value.error_bound) + rounding(mdp, rewards, missing) * 8
    return Found(visits / again * best, np.asarray(lost), error)


def _missing_once(rng: Any, count: int) -> Batch:
    """A bandit of one context, where the tie is all there is."""
    mdp = problems.contextual_bandit(np.zeros((1, draw.ACTIONS))).astype(np.float64)
    q = np.ones((count, 1, draw.ACTIONS))
    names = {"tied": np.full(count, draw.ACTIONS), "raised": np.zeros(count, int), "size": np.full(count, 0.1)}
    return Batch(mdp, {"q": q, **names, "missing": rng.normal(size=q.shape)})


@claim(
    "3.2",
    "A tie can be broken within any budget ε: the bump of ε/(1 + γ) puts an action ahead by exactly that.",
    formula="gap = ε/(1 + γ), with ‖R' − R‖ ≤ ε",
    kind="exact",
    instances=draw.ties,
)
def ties_can_be_broken(mdp: MDP, q: Any, tied: Any, raised: Any, size: Any) -> Found:
    used = size / (1 + float(mdp.discount))
    before, after, _ = bumped(mdp, q, raised, used)
    sol = solve(mdp, after)
    rivals = np.array(sol.gaps)[:, 0]
    rivals[np.arange(len(q)), raised] = np.inf
    over = np.maximum(size_of(mdp, after - before) - size, 0)
    error = np.asarray(sol.gap_bound)[:, 0].max(-1, initial=0, where=np.isfinite(rivals)) + rounding(mdp, q)
    return Found(rivals.min(-1) + over, used, error)


@claim(
    "3.2 best",
    "The largest gap that a budget ε buys, and no change within it buys more, is named: solved again, it is there.",
    formula="gap after the change = what best_tiebreaker says ≤ 2ε/(1 − γ)",
    kind="exact",
    source="new",
    instances=lambda rng, count: draw.ties(rng, min(count, 4)),
    costly=10,
)
def ties_can_be_broken_best(mdp: MDP, q: Any, tied: Any, raised: Any, size: Any) -> Found:
    rewards = np.asarray(inverse_bellman(mdp, q))
    gaps, said, error = [], [], []
    for reward, action, budget in zip(rewards, raised, size, strict=True):
        best = best_tiebreaker(mdp, reward, state=0, action=int(action), budget=float(budget))
        sol = solve(mdp, best.reward)
        rivals = np.delete(np.asarray(sol.gaps)[0], int(action))
        gaps.append(rivals.min())
        said.append(best.gap)
        error.append(4 * float(sol.error_bound) + float(rounding(mdp, reward)) * 8)
    return Found(np.array(gaps), np.array(said), np.array(error))


@claim(
    "3.3 lengths",
    "Where every outcome pays the same, short and long answers are equally optimal, at any discount.",
    formula="gap of ending at once and going on = 0",
    kind="refuted",
    instances=lambda rng, count: _lengths(rng, count, float(rng.uniform(0.5, 0.9999))),
    told="true at γ = 1 only: any discount is a penalty on length",
)
def lengths_are_told_apart(mdp: MDP, none: Any) -> Found:
    sol = solve(mdp, np.broadcast_to(np.asarray(mdp.reward), (len(none), *mdp.reward.shape)))
    gaps = np.where(np.isfinite(np.asarray(sol.gaps)), np.asarray(sol.gaps), 0)
    return Found(gaps[:, 0].max(-1), 0.0, 2 * np.asarray(sol.error_bound))


@claim(
    "3.3 lengths at γ = 1",
    "Where every outcome pays the same and nothing is discounted, short and long answers are equally optimal.",
    formula="gap of ending at once and going on = 0",
    kind="exact",
    source="corrected",
    instances=lambda rng, count: _lengths(rng, count, 1.0),
)
def lengths_tie_without_a_discount(mdp: MDP, none: Any) -> Found:
    return lengths_are_told_apart(mdp, none)


def _lengths(rng: Any, count: int, discount: float) -> Batch:
    mdp = problems.token_tree(draw.key(rng), vocabulary=2, depth=4, correct=1.0, end_token=True).astype(jnp.float64)
    return Batch(mdp.replace(discount=np.float64(discount)), {"none": np.zeros(count)})


def _tied_everywhere(rng: Any, count: int) -> Batch:
    mdp = draw.chain(rng)
    q = rng.uniform(0.0, 0.8, size=(count, draw.STATES, draw.ACTIONS))
    m = rng.integers(1, draw.ACTIONS + 1, size=(count, draw.STATES))
    tied = rng.random(q.shape).argsort(axis=-1).argsort(axis=-1) < m[..., None]
    q = np.where(tied, 1.0, q)
    names = {"base": rng.dirichlet(np.ones(draw.ACTIONS), size=(count, draw.STATES))}
    return Batch(mdp, {"q": q, "tied": m, "size": 10 ** rng.uniform(-6, -1.5, size=count)} | names)


@claim(
    "2.10 visited",
    "Where a policy goes its jump is the mean over the states that it visits: Σ d(s)(1 − 1/m(s)).",
    formula="E_d[TV] = Σ_s d(s)(1 − 1/m(s))",
    kind="exact",
    source="new",
    instances=_tied_everywhere,
)
def jumps_add_up_where_a_policy_goes(mdp: MDP, q: Any, tied: Any, size: Any, base: Any) -> Found:
    raised = np.zeros(q.shape)
    np.put_along_axis(raised, q.argmax(axis=-1)[..., None], 1.0, axis=-1)
    one, two = (
        policies.uniform(acts_of(mdp, np.asarray(inverse_bellman(mdp, x))))
        for x in (q, q + size[:, None, None] * raised)
    )
    visits = np.asarray(occupancy(mdp, one)).sum(axis=-1)
    expected = (visits * (1 - 1 / tied)).sum(-1) / visits.sum(-1)
    return Found(np.asarray(metrics.visited_total_variation(mdp, one, two)), expected, 64 * U * float(mdp.steps))
