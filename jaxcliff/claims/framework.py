"""The framework (Sections 2 and 3.1 of the paper): assumptions, Bellman's equation, values, sets of optimal actions."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import scipy.special

from jaxcliff import problems
from jaxcliff.claims import instances as draw
from jaxcliff.claims.registry import Batch, Found, claim
from jaxcliff.cliffs.radius import nearest_cliff
from jaxcliff.model.mdp import MDP
from jaxcliff.operators.regularizers import Entropy
from jaxcliff.policies import optimal_actions, selections
from jaxcliff.solvers.evaluate import evaluate
from jaxcliff.solvers.solve import solve

SECTION = "Framework"
U = float(np.finfo(np.float64).eps) / 2


def size_of(mdp: MDP, changes: Any) -> Any:
    """‖Δ‖, over the entries that count."""
    return np.abs(np.where(mdp.decisions, changes, 0)).max(axis=(-2, -1))


def rounding(mdp: MDP, *arrays: Any) -> Any:
    """What adding up such rewards over an episode may lose."""
    return 8 * U * float(mdp.steps) * sum(np.abs(np.asarray(x)).max(axis=(-2, -1)) for x in arrays)


def backup(mdp: MDP, q: Any, rewards: Any) -> Any:
    """R + γP max Q."""
    best = jnp.max(jnp.where(mdp.decisions, q, -jnp.inf), axis=-1)
    return rewards + mdp.discount * mdp.expect(jnp.where(jnp.isneginf(best), 0, best))


def _refused(make: Any) -> float:
    """0 if it is refused, 1 if it is taken."""
    try:
        make()
    except ValueError:
        return 0.0
    return 1.0


def _broken(kinds: int) -> Any:
    def drawn(rng: Any, count: int) -> Batch:
        return Batch(
            draw.chain(rng), {"kind": rng.integers(kinds, size=count), "seed": rng.integers(2**31, size=count)}
        )

    return drawn


def _taken(make: Any) -> Any:
    """A check that counts what is not refused."""

    def check(mdp: MDP, kind: Any, seed: Any) -> Found:
        several = (
            _refused(lambda k=k, s=s: make(mdp, int(k), np.random.default_rng(int(s))))
            for k, s in zip(kind, seed, strict=True)
        )
        return Found([*several], 0.0)

    return check


def _shapes(mdp: MDP, kind: int, rng: Any) -> Any:
    reward = np.asarray(mdp.reward)
    wrong = [reward[:, :0], reward[:0], reward[:-1], np.where(rng.random(reward.shape) < 0.1, np.inf, np.nan)][kind]
    return solve(MDP(mdp.transitions, wrong, mdp.discount)).values[0]


def _rows(mdp: MDP, kind: int, rng: Any) -> Any:
    rows = np.asarray(
        problems.garnet(draw.key(rng), states=6, actions=2, branching=6, dense=True).transitions.probabilities
    )
    rows = rows.astype(float).copy()
    place = tuple(rng.integers(n) for n in rows.shape)
    rows[place] = [rows[place] + rng.uniform(1e-3, 1), -rng.uniform(1e-3, 1), np.nan][kind]
    return problems.from_arrays(rows, np.zeros((6, 2)), discount=0.9)


def _discounts(mdp: MDP, kind: int, rng: Any) -> Any:
    wrong = [1.0, 1 + rng.uniform(1e-6, 1), -rng.uniform(1e-6, 1), np.nan][kind]
    return MDP(mdp.transitions, np.asarray(mdp.reward), wrong)


for _name, _statement, _kinds, _make in (
    (
        "2.1",
        "States and actions form compact spaces: here they are finite, every pair with a finite reward.",
        4,
        _shapes,
    ),
    ("2.2", "Transitions are continuous: here rows are distributions, and what is none is refused.", 3, _rows),
    (
        "2.3",
        "The discount is in [0, 1); it is 1 only where every episode ends, which in these chains none does.",
        4,
        _discounts,
    ),
):
    claim(
        f"Assumption {_name}",
        _statement,
        formula="accepted = 0",
        kind="validator",
        instances=_broken(_kinds),
    )(_taken(_make))


def _shifted_q(rng: Any, count: int) -> Batch:
    mdp = draw.chain(rng, (0.5, 0.9, 0.99))
    q = draw.rewards_of(rng, mdp, count)
    return Batch(mdp, {"rewards": 0 * q, "q": q, "other": q + rng.uniform(0.1, 1, size=(count, 1, 1))})


def _two_q(rng: Any, count: int) -> Batch:
    mdp = draw.chain(rng, (0.5, 0.9, 0.99))
    q = draw.rewards_of(rng, mdp, count)
    rewards, changes = draw.rewards_of(rng, mdp, count), draw.changes_of(rng, mdp, count)
    return Batch(mdp, {"rewards": rewards, "q": q, "other": q + changes})


@claim(
    "(1) contraction",
    "Bellman's operator is a contraction by γ, attained where action values differ by a constant.",
    formula="‖TQ − TQ'‖ ≤ γ‖Q − Q'‖",
    kind="tight",
    instances=_two_q,
    equality=_shifted_q,
    attained=1e-13,
)
def bellman_contracts(mdp: MDP, rewards: Any, q: Any, other: Any) -> Found:
    apart = size_of(mdp, backup(mdp, jnp.asarray(q), rewards) - backup(mdp, jnp.asarray(other), rewards))
    return Found(apart, float(mdp.discount) * size_of(mdp, q - other), 16 * draw.ACTIONS * U * (1 + np.abs(q).max()))


def _policies(rng: Any, count: int) -> Batch:
    mdp, arrays = draw.pairs(rng, count)
    policy = rng.dirichlet(np.ones(mdp.num_actions), size=(count, mdp.num_states))
    return Batch(mdp, arrays | {"policy": policy})


@claim(
    "V linear",
    "The value of a policy is linear in the reward.",
    formula="‖V_{R+R'} − V_R − V_R'‖ = 0",
    kind="exact",
    instances=_policies,
)
def values_of_a_policy_are_linear(mdp: MDP, rewards: Any, changes: Any, policy: Any) -> Found:
    several = [evaluate(mdp, policy, r) for r in (rewards + changes, rewards, changes)]
    whole, one, two = (np.asarray(sol.values) for sol in several)
    error = sum(np.asarray(sol.error_bound) for sol in several) + rounding(mdp, rewards, changes)
    return Found(np.abs(whole - one - two).max(axis=-1), 0.0, error)


@claim(
    "2.4",
    "Optimal action values move by at most 1/(1 − γ) times the largest change of the reward.",
    formula="‖Q_R − Q_R'‖ ≤ ‖R − R'‖/(1 − γ)",
    kind="tight",
    instances=draw.pairs,
    equality=draw.constants,
    attained=1e-12,
    told="at γ = 1 the longest episode stands for 1/(1 − γ)",
)
def values_are_lipschitz(mdp: MDP, rewards: Any, changes: Any) -> Found:
    before, after = (solve(mdp, r, tolerance=1e-15) for r in (rewards, rewards + changes))
    moved = size_of(mdp, np.asarray(after.q_values) - np.asarray(before.q_values))
    error = np.asarray(before.error_bound + after.error_bound) + rounding(mdp, rewards)
    return Found(moved, float(mdp.steps) * size_of(mdp, changes), error)


@claim(
    "2.4 outcomes",
    "In a tree whose outcomes alone change, action values move by no more than they do: no horizon.",
    formula="‖Q_R − Q_R'‖ ≤ ‖R − R'‖",
    kind="tight",
    source="new",
    instances=draw.outcomes,
    equality=draw.raised_leaves,
    attained=1e-12,
)
def outcomes_have_no_horizon(mdp: MDP, rewards: Any, changes: Any) -> Found:
    before, after = solve(mdp, rewards), solve(mdp, rewards + changes)
    moved = size_of(mdp, np.asarray(after.q_values) - np.asarray(before.q_values))
    return Found(moved, size_of(mdp, changes), np.asarray(before.error_bound + after.error_bound))


@claim(
    "2.4 operators",
    "Every monotone backup that passes constants through inherits the constant, the soft one of entropy among them.",
    formula="‖Q_{R,α} − Q_{R',α}‖ ≤ ‖R − R'‖/(1 − γ)",
    kind="tight",
    source="new",
    instances=draw.pairs,
    equality=draw.constants,
    attained=1e-9,
)
def soft_values_are_lipschitz(mdp: MDP, rewards: Any, changes: Any) -> Found:
    before, after = (solve(mdp, r, regularizer=Entropy(0.5)) for r in (rewards, rewards + changes))
    moved = size_of(mdp, np.asarray(after.q_values) - np.asarray(before.q_values))
    error = np.asarray(before.error_bound + after.error_bound) + rounding(mdp, rewards)
    return Found(moved, float(mdp.steps) * size_of(mdp, changes), error)


def _two_arms_apart(rng: Any, count: int) -> Batch:
    mdp = problems.contextual_bandit(np.zeros((1, 2))).astype(np.float64)
    return Batch(mdp, {"gap": rng.uniform(2, 3, size=count), "size": 10 ** rng.uniform(-4, -1, size=count)})


@claim(
    "2.4 averages",
    "A backup by an average of action values, weighed by Boltzmann's distribution, does not expand distances.",
    formula="|m(q) − m(q')| ≤ ‖q − q'‖ with m(q) = Σ softmax(q) q",
    kind="refuted",
    source="new",
    instances=_two_arms_apart,
    told="it is not monotone, and expands: by 1.2 with two arms",
)
def boltzmann_averages_expand(mdp: MDP, gap: Any, size: Any) -> Found:
    def average(q: Any) -> Any:
        return (scipy.special.softmax(q, axis=-1) * q).sum(axis=-1)

    q = np.stack([gap, np.zeros_like(gap)], axis=-1)
    moved = average(q + size[:, None] * np.array([1.0, -1.0])) - average(q)
    return Found(np.abs(moved), size, 16 * U * gap)


def _inside(rng: Any, count: int) -> Batch:
    """A reward, a direction, and a step that stays within the radius."""
    mdp = draw.chain(rng)
    rewards, directions = draw.rewards_of(rng, mdp, count), draw.rewards_of(rng, mdp, count)
    radius = nearest_cliff(mdp, rewards).lower / size_of(mdp, directions)
    step = np.where(np.isfinite(radius), radius, 1) * rng.uniform(0.1, 0.9, size=count)
    return Batch(mdp, {"rewards": rewards, "changes": step[:, None, None] * directions})


@claim(
    "2.4 derivative",
    "Where the optimum is unique, action values move with the reward as those of the optimal policy do: by its visits.",
    formula="Q_{R+D} − Q_R = Q^{π*}_D up to the radius",
    kind="exact",
    source="new",
    instances=_inside,
)
def values_move_by_visits(mdp: MDP, rewards: Any, changes: Any) -> Found:
    before, after = solve(mdp, rewards), solve(mdp, rewards + changes)
    own = evaluate(mdp, selections.first(optimal_actions(before)), changes)
    moved = np.asarray(after.q_values) - np.asarray(before.q_values)
    error = np.asarray(before.error_bound + after.error_bound + own.error_bound) + rounding(mdp, rewards)
    return Found(size_of(mdp, moved - np.asarray(own.q_values)), 0.0, error)


def _changed_trees(rng: Any, count: int) -> Batch:
    """Two rewards of a tree of tokens with a discount."""
    mdp = draw.tree(rng).replace(discount=np.float64(rng.choice([0.3, 0.9, 0.99])))
    return Batch(mdp, {"rewards": draw.rewards_of(rng, mdp, count), "changes": draw.changes_of(rng, mdp, count)})


def _raised_trees(rng: Any, count: int) -> Batch:
    """The same, where every token pays the same more."""
    mdp, arrays = _changed_trees(rng, count)
    sizes = rng.uniform(0.1, 1, size=(count, 1, 1))
    return Batch(mdp, arrays | {"changes": np.where(mdp.decisions, sizes, 0)})


@claim(
    "2.4 horizon",
    "Where an episode ends after H steps, action values move by at most the discounted count of its steps.",
    formula="‖Q_R − Q_R'‖ ≤ Σ_{t<H} γᵗ·‖R − R'‖",
    kind="tight",
    source="new",
    instances=_changed_trees,
    equality=_raised_trees,
    attained=1e-12,
)
def a_horizon_bounds_values(mdp: MDP, rewards: Any, changes: Any) -> Found:
    before, after = (solve(mdp, r) for r in (rewards, rewards + changes))
    moved = size_of(mdp, np.asarray(after.q_values) - np.asarray(before.q_values))
    steps = (float(mdp.discount) ** np.arange(draw.DEPTH)).sum()
    error = np.asarray(before.error_bound + after.error_bound) + rounding(mdp, rewards)
    return Found(moved, steps * size_of(mdp, changes), error)
