"""The exact derivative of a soft policy with respect to the reward, and how steep it is.

    dπ(a|s) = W(s, a)·(dQ(s, a) − ⟨dQ(s, ·)⟩_W),   dQ = dR + γ P (I − γP_π)⁻¹ Σ_a π dR

W = b/(β f''(π/b)) is the regulariser's softness, and ⟨·⟩_W the mean with weights W. For entropy W = π/α, and the
derivative is (1/α)·π·A^π of the changed reward: one policy evaluation.
"""

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcliff.core import checks, datasets
from jaxcliff.core.numerics import contract
from jaxcliff.core.records import by_hand, record
from jaxcliff.core.types import Dataset, Policies, RewardLike, Rewards, RewardsLike, Values
from jaxcliff.model.mdp import MDP
from jaxcliff.model.provenance import recorded
from jaxcliff.solvers.evaluate import evaluate
from jaxcliff.solvers.solution import Solution
from jaxcliff.solvers.visits import flow, visits_of

FEW_ACTIONS = 10  # up to here, every subset of actions is looked at
LARGEST_MATRIX = 2**24  # entries


@record
class Bracket:
    """A number per state that lies between two: `lower` ≤ it ≤ `upper`, [S] each; equal where it is exact."""

    lower: Values
    upper: Values

    def summary(self) -> str:
        """One sentence."""
        lower, upper = np.asarray(self.lower), np.asarray(self.upper)
        between = "exactly" if (lower == upper).all() else f"at least {lower.max():.4g}, at most"
        return f"largest at state {int(upper.argmax())}: {between} {upper.max():.4g}"

    def to_dataset(self) -> Dataset:
        """The same as a labelled xarray dataset."""
        return datasets.to_dataset(self, {"lower": ("state",), "upper": ("state",)})


@record
class SoftJacobian:
    """dπ/dR of one soft optimum as a linear map from rewards to policies.

    `policy` is π and `softness` W, both [S, A].
    """

    mdp: MDP
    policy: Policies
    softness: Policies
    made: Any = by_hand(default=None)

    def summary(self) -> str:
        """One sentence."""
        steep = self.lipschitz()
        lower, upper = np.asarray(steep.lower), np.asarray(steep.upper)
        between = "exactly" if (lower == upper).all() else f"at least {lower.max():.4g}, at most"
        where = self.mdp.labels.state(int(upper.argmax()))
        return f"total variation per unit of reward: {between} {upper.max():.4g}, largest at {where}"

    def to_dataset(self) -> Dataset:
        """The policy, its softness, and how far it can move per unit of reward, as a labelled xarray dataset."""
        steep, table = self.lipschitz(), ("state", "action")
        variables: Any = {"policy": (table, self.policy), "softness": (table, self.softness)}
        variables |= {name: (("state",), getattr(steep, name)) for name in ("lower", "upper")}
        labels, made = self.mdp.labels, self.made
        return datasets.build("SoftJacobian", variables, {}, labels=labels, size=self.policy.shape, made=made)

    def apply(self, change: RewardLike) -> Policies:
        """dπ for one change of reward or many, [..., S, A]; it sums to 0 over the actions of a state."""
        return self._apply(_shaped(self.mdp, change))

    @jax.jit
    def _apply(self, change: Rewards) -> Policies:
        after = evaluate(self.mdp, self.policy, change)
        dq = jnp.where(self.softness > 0, after.centred_q, 0)
        return self.softness * self._centred(dq)

    def transpose(self, weight: RewardsLike) -> Rewards:
        """d/dR of Σ weight·π, for one weight or many, [..., S, A]: the gradient of whatever is read off the policy."""
        return self._transpose(_shaped(self.mdp, weight))

    @jax.jit
    def _transpose(self, weight: Policies) -> Rewards:
        flat = weight.reshape(-1, *self.policy.shape)
        return self._pulled_back(visits_of(self.mdp, self.policy), flat).reshape(weight.shape)

    def _pulled_back(self, visited: Callable[[Values], Values], weight: Policies) -> Rewards:
        pull = self.softness * self._centred(weight)
        states = visited(self.mdp.discount * flow(self.mdp, jnp.where(self.mdp.decisions, pull, 0)))
        return jnp.where(self.mdp.decisions, pull + states[..., None] * self.policy, 0)

    def matrix(self) -> jax.Array:
        """The full derivative of π (first two axes) with respect to R (last two), [S, A, S, A]. Small problems only."""
        s, a = self.policy.shape
        if (s * a) ** 2 > LARGEST_MATRIX:
            raise ValueError(
                f"the full matrix of {s} states and {a} actions has {(s * a) ** 2:,} entries; "
                "use apply and transpose, which store none of it"
            )
        return self.transpose(jnp.eye(s * a, dtype=self.policy.dtype).reshape(s * a, s, a)).reshape(s, a, s, a)

    @jax.jit
    def lipschitz(self) -> Bracket:
        """How far the policy of each state can move per unit of reward: max TV(dπ(s))/‖dR‖, locally.

        Exact up to ten actions, where every set of actions that may gain is looked at. Beyond, `lower` is attained by a
        set found by ascent, and `upper` is half the sum of what each action can move.
        """

        def of_state(s: jax.Array) -> tuple[jax.Array, jax.Array]:
            weight = jnp.zeros((a, *self.policy.shape), self.policy.dtype).at[jnp.arange(a), s, jnp.arange(a)].set(1)
            rows = self._pulled_back(visited, weight).reshape(a, -1)
            if a <= FEW_ACTIONS:
                exact = jnp.max(jnp.sum(jnp.abs(contract("ka,ai->ki", _subsets(a, rows.dtype), rows)), axis=-1))
                return exact, exact
            return _ascend(rows), jnp.sum(jnp.abs(rows)) / 2

        a = self.mdp.num_actions
        visited = visits_of(self.mdp, self.policy)
        return Bracket(*jax.lax.map(of_state, jnp.arange(self.mdp.num_states)))

    def law(self) -> Values:
        """½ Σ_a W(s, a), [S]: no policy of this regulariser moves faster in TV per unit of ‖dQ(s, ·)‖ from here."""
        return jnp.sum(self.softness, axis=-1) / 2

    @jax.jit
    def local_constant(self) -> Bracket:
        """Max TV(dπ(s))/‖dQ(s, ·)‖, [S]: the law times max_B 4p(1 − p), p = W(B)/W over sets B of actions.

        Exact up to ten actions. Beyond, exact where one action has half of W or more; else `lower` is that of a set
        found greedily and `upper` the law itself.
        """
        total = jnp.sum(self.softness, axis=-1, keepdims=True)
        share = self.softness / jnp.where(total > 0, total, 1)
        a = self.mdp.num_actions
        if a <= FEW_ACTIONS:
            part = contract("sa,ka->sk", share, _subsets(a, share.dtype))
            exact = jnp.max(4 * part * (1 - part), axis=-1)
            return Bracket(self.law() * exact, self.law() * exact)
        largest = jnp.max(share, axis=-1)
        part = jnp.maximum(_greedy_half(share), largest)
        factor = 4 * part * (1 - part)
        return Bracket(self.law() * factor, self.law() * jnp.where(largest >= 0.5, 4 * largest * (1 - largest), 1))

    def _centred(self, x: Policies) -> Policies:
        """The difference x − ⟨x⟩_W, from the heaviest action first: where it is nearly alone, nothing cancels."""
        heaviest = jnp.argmax(self.softness, axis=-1, keepdims=True)
        x = x - jnp.take_along_axis(x, jnp.broadcast_to(heaviest, (*x.shape[:-1], 1)), axis=-1)
        total = jnp.sum(self.softness, axis=-1, keepdims=True)
        return x - jnp.sum(self.softness * x, axis=-1, keepdims=True) / jnp.where(total > 0, total, 1)


@checks.public
@recorded
def soft_jacobian(mdp: MDP, solution: Solution) -> SoftJacobian:
    """The derivative of the policy of one soft optimum (one lane: `solution[i]`) with respect to the reward.

    >>> import jax.numpy as jnp, jaxcliff as jc
    >>> bandit = jc.problems.bandit([0.0, 0.0])
    >>> slope = jc.soft_jacobian(bandit, jc.solve(bandit, regularizer=jc.Entropy(0.5)))
    >>> slope.apply(jnp.asarray([[1.0, 0.0]])).tolist(), slope.lipschitz().upper.tolist()
    ([[0.5, -0.5]], [1.0])
    """
    if solution.regularizer is None:
        raise ValueError(f"a solution of kind {solution.kind!r} has no slope: solve with a regularizer")
    if solution.status.ndim:
        raise ValueError("this solution has several lanes: take one, soft_jacobian(mdp, solution[i]), or map over them")
    if solution.centred_q.shape != mdp.reward.shape:
        raise ValueError(f"this solution is of another problem: it has shape {list(solution.centred_q.shape)}")
    mdp = mdp.astype(solution.centred_q.dtype)
    return SoftJacobian(mdp, *_softness(mdp, solution))


@jax.jit
def _softness(mdp: MDP, solution: Solution) -> tuple[Policies, Policies]:
    """(π, W). Where the strength is 0 and actions tie, the derivative follows the first best action, as everywhere."""
    legal = ~jnp.isneginf(solution.centred_q)
    policy = solution.regularizer.policy(jnp.where(legal, solution.centred_q, 0), legal)
    return policy, jnp.where(mdp.decisions, solution.regularizer.softness(policy), 0)


def _shaped(mdp: MDP, change: Any) -> jax.Array:
    change = checks.array(change, "a change of the reward").astype(mdp.dtype)
    if change.ndim < 2 or change.shape[-2:] != mdp.reward.shape:
        raise ValueError(
            f"expected [..., {mdp.num_states}, {mdp.num_actions}] (states, actions), not {list(change.shape)}"
        )
    return change


def _subsets(a: int, dtype: Any) -> jax.Array:
    """The sets of actions that contain the last one, [2^(a−1), a]: a set and its complement count once."""
    rows = np.array(list(itertools.product((0, 1), repeat=a - 1))).reshape(2 ** (a - 1), a - 1)
    return jnp.asarray(np.hstack([rows, np.ones((len(rows), 1))]), dtype)


def _ascend(rows: jax.Array) -> jax.Array:
    """Max over sets B of ‖Σ_B rows‖₁ from below: B and the signs it wants, in turn, from every single action."""

    def improve(_: Any, chosen: jax.Array) -> jax.Array:
        signs = jnp.sign(contract("ba,ai->bi", chosen, rows))
        return (contract("bi,ai->ba", signs, rows) > 0).astype(rows.dtype)

    chosen = jax.lax.fori_loop(0, 8, improve, jnp.eye(len(rows), dtype=rows.dtype))
    return jnp.max(jnp.sum(jnp.abs(contract("ba,ai->bi", chosen, rows)), axis=-1))


def _greedy_half(share: jax.Array) -> Values:
    """The mass of a set of actions near ½: the largest that still fit, taken in order."""

    def take(filled: jax.Array, mass: jax.Array) -> tuple[jax.Array, None]:
        return jnp.where(filled + mass <= 0.5, filled + mass, filled), None

    ordered = jnp.flip(jnp.sort(share, axis=-1), axis=-1)
    return jax.lax.scan(take, 0 * share[..., 0], ordered.T)[0]
