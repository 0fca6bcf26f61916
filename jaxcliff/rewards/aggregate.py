"""Several rewards into one: what a policy that is trained on a mixture really follows.

Components are [..., N, S, A], weights [..., N, S], or [N] or [..., N, 1], the same in every state. The linear mixture

    R_eff(s, a) = Σ_k w_k(s) R_k(s, a)

is the *effective reward*; constants, tables, Bayes' rule and gates make the weights. The other aggregators are not
linear. Each is applied entry by entry, and moves by at most its Lipschitz constant times max_k ‖ΔR_k‖: 1 for a mixture
whose weights do not move, the worst case and the soft minimum; `lipschitz` gives the local constant of any of them.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcliff.core import checks
from jaxcliff.core.numerics import contract, placed
from jaxcliff.core.records import is_concrete
from jaxcliff.core.types import Number, NumbersLike, Rewards, RewardsLike, Rule, WeightsLike
from jaxcliff.model.mdp import MDP, check_one
from jaxcliff.model.transitions import Tree

__all__ = [
    "constant",
    "hard_gate",
    "lexicographic",
    "linear",
    "lipschitz",
    "mean_minus_variance",
    "per_state",
    "posterior",
    "prompts",
    "soft_min",
    "softmax_gate",
    "worst_case",
]


def __dir__() -> list[str]:
    return list(__all__)


def linear(rewards: RewardsLike, weights: WeightsLike) -> Rewards:
    """R_eff = Σ_k w_k(s) R_k(s, a), [..., S, A].

    Args:
        rewards: components, [..., N, S, A].
        weights: [N], [..., N, 1] or [..., N, S], such as those of `constant`, `per_state`, `posterior`, `prompts`,
            `softmax_gate`, `hard_gate`.

    >>> import jax.numpy as jnp, jaxcliff as jc
    >>> helpful, honest = jnp.asarray([[1.0, 0.0]]), jnp.asarray([[0.0, 1.0]])
    >>> jc.aggregate.linear(jnp.stack([helpful, honest]), jc.aggregate.constant([0.75, 0.25])).tolist()
    [[0.75, 0.25]]
    """
    rewards = _components(rewards)
    number, states, _ = rewards.shape[-3:]
    weights = checks.weights(checks.array(weights, "weights"), number, states, lanes=True)
    return _mixed(rewards, weights)


@jax.jit
def _mixed(rewards: jax.Array, weights: jax.Array) -> jax.Array:
    weights = jnp.broadcast_to(weights.astype(rewards.dtype), (*weights.shape[:-1], rewards.shape[-2]))
    return contract("...ns,...nsa->...sa", weights, rewards)


def constant(weights: NumbersLike) -> jax.Array:
    """Weights w_k, the same in every state: [N] (or [..., N]) to [..., N, 1]."""
    return _distribution(checks.array(weights, "weights")[..., None], "weights")


def per_state(weights: WeightsLike) -> jax.Array:
    """A table of weights w_k(s), [..., N, S]; [N] is the same in every state, [N, 1]."""
    found = checks.array(weights, "weights")
    return _distribution(found[:, None] if found.ndim == 1 else found, "weights")


def posterior(prior: NumbersLike, visits: NumbersLike) -> jax.Array:
    """Bayes' rule, w_k(s) = p_k d_k(s) / Σ_j p_j d_j(s): who is likely to be served in state s, [N, S].

    With d_k the visits of a policy that starts as class k does, the mixture is exact for that policy: its return under
    R_eff is Σ_k p_k J_k. In a general problem d_k, hence w, depends on the policy; on a tree it does not (`prompts`).
    States that no class visits get the prior.
    """
    prior = _distribution(checks.array(prior, "the prior")[..., None], "the prior")
    visits = checks.array(visits, "visits").astype(prior.dtype)
    if visits.ndim < 2 or visits.shape[-2] != prior.shape[-2]:
        raise ValueError(f"visits of {prior.shape[-2]} classes have shape [N, S], not {list(visits.shape)}")
    if is_concrete(visits) and not (np.asarray(visits) >= 0).all():
        raise ValueError("visits must not be negative or NaN")
    return _bayes(prior, visits)


@jax.jit
def _bayes(prior: jax.Array, visits: jax.Array) -> jax.Array:
    joint = prior * visits
    total = jnp.sum(joint, axis=-2, keepdims=True)
    return jnp.where(total > 0, joint / jnp.where(total > 0, total, 1), prior)


@checks.public
def prompts(mdp: MDP, prior: NumbersLike, starts: NumbersLike) -> jax.Array:
    """The posterior weights of a token tree, w_k(s) = P(k | prompt of s), [N, S]: the same for every policy.

    Args:
        mdp: a problem on a `Tree`.
        prior: p_k, [N].
        starts: D_k, [N, S]: the distribution over prompts (states) from which class k starts. No prompt may continue
            another.
    """
    check_one(mdp)
    tree = mdp.transitions
    if not isinstance(tree, Tree):
        raise ValueError("only on a Tree does every state belong to one prompt; elsewhere use posterior(prior, visits)")
    starts = checks.array(starts, "starts").astype(mdp.dtype)
    if starts.ndim != 2 or starts.shape[1] != mdp.num_states:
        raise ValueError(f"starts must have shape [N, {mdp.num_states}], not {list(starts.shape)}")
    _distribution(starts.T, "the starts of every class")
    reach, both = _reach(tree, starts)
    if is_concrete(both) and np.asarray(both).any():
        state = mdp.labels.state(int(np.argmax(both)))
        raise ValueError(f"{state} is a prompt and continues another; then the weights depend on the policy")
    return posterior(prior, reach)


@jax.jit
def _reach(tree: Tree, starts: jax.Array) -> tuple[jax.Array, jax.Array]:
    """How likely each class is to come by a state, [N, S]; where a prompt continues another, [S]."""
    edges = tree.level_starts
    reach = [starts[:, : edges[1]]]
    both = [jnp.zeros(edges[1], bool)]
    for t in range(1, tree.depth):
        inherited = jnp.repeat(reach[-1], tree.vocabulary, axis=1)
        own = starts[:, edges[t] : edges[t + 1]]
        both.append(jnp.any(own > 0, 0) & jnp.any(inherited > 0, 0))
        reach.append(inherited + own)
    return jnp.concatenate(reach, axis=1), jnp.concatenate(both)


def softmax_gate(scores: NumbersLike, sharpness: Number = 1.0) -> jax.Array:
    """Weights ∝ exp(sharpness · score), from the scores of each component, [..., N, S]; NaN where a score is NaN."""
    scores = _scores(scores)
    if is_concrete(sharpness) and not np.isfinite(checks.numbers(sharpness, "sharpness")).all():
        raise ValueError(f"sharpness must be finite, not {sharpness}: hard_gate is the limit of large ones")
    return _softmax(scores, checks.scalar(sharpness, "sharpness"))


@jax.jit
def _softmax(scores: jax.Array, sharpness: jax.Array) -> jax.Array:
    sharpness = sharpness.astype(scores.dtype)
    # Scores behind the best one: however sharp the gate, the largest exponent is 0.
    best = jnp.where(sharpness < 0, jnp.min(scores, axis=-2, keepdims=True), jnp.max(scores, axis=-2, keepdims=True))
    return jax.nn.softmax(sharpness * (scores - jax.lax.stop_gradient(best)), axis=-2)


def hard_gate(scores: NumbersLike) -> jax.Array:
    """All weight to the component with the highest score, the first at a tie, [..., N, S]; NaN where a score is NaN.

    The one aggregator without a Lipschitz constant: where scores tie, R_eff itself jumps, and so does every policy that
    follows it, regularised or not.
    """
    return _argmax(_scores(scores))


@jax.jit
def _argmax(scores: jax.Array) -> jax.Array:
    chosen = jax.nn.one_hot(jnp.argmax(scores, axis=-2), scores.shape[-2], dtype=scores.dtype)
    return jnp.where(jnp.any(jnp.isnan(scores), axis=-2, keepdims=True), jnp.nan, jnp.moveaxis(chosen, -1, -2))


def worst_case(rewards: RewardsLike) -> Rewards:
    """min_k R_k(s, a)."""
    return jnp.min(_components(rewards), axis=-3)


def soft_min(rewards: RewardsLike, strength: Number) -> Rewards:
    """−τ log mean_k exp(−R_k/τ): between the mean (τ → ∞) and the worst case (τ → 0)."""
    rewards = _components(rewards)
    return _soft_min(rewards, _positive("strength", strength, rewards.dtype))


@jax.jit
def _soft_min(rewards: jax.Array, strength: jax.Array) -> jax.Array:
    # Exponents from the worst case are at most 0; where all are small, those from the mean cancel nothing.
    worst = jnp.min(rewards, axis=-3, keepdims=True)
    small = jnp.max(rewards, axis=-3, keepdims=True) - worst < strength
    mean = worst + jnp.mean(rewards - worst, axis=-3, keepdims=True)
    centre = jax.lax.stop_gradient(jnp.where(small, mean, worst))
    exponent = -(rewards - centre) / strength
    near = jnp.log1p(jnp.mean(jnp.where(small, jnp.expm1(jnp.where(small, exponent, 0)), 0), axis=-3))
    far = jnp.log(jnp.mean(jnp.where(small, 1, jnp.exp(jnp.where(small, 0, exponent))), axis=-3))
    return centre[..., 0, :, :] - strength * jnp.where(small[..., 0, :, :], near, far)


def mean_minus_variance(rewards: RewardsLike, penalty: Number) -> Rewards:
    """mean_k R_k − penalty · variance_k R_k (of the population): disagreement is paid for."""
    return _penalised(_components(rewards), checks.scalar(penalty, "the penalty"))


@jax.jit
def _penalised(rewards: jax.Array, penalty: jax.Array) -> jax.Array:
    return jnp.mean(rewards, axis=-3) - penalty.astype(rewards.dtype) * jnp.var(rewards, axis=-3)


def lexicographic(rewards: RewardsLike, epsilon: Number) -> Rewards:
    """Σ_k ε^k R_k, k = 0, 1, …: the first reward decides, the next breaks its ties, if ε is small enough."""
    rewards = _components(rewards)
    return _in_order(rewards, _positive("epsilon", epsilon, rewards.dtype))


@jax.jit
def _in_order(rewards: jax.Array, epsilon: jax.Array) -> jax.Array:
    powers = epsilon ** jnp.arange(rewards.shape[-3]).astype(rewards.dtype)
    return contract("n,...nsa->...sa", powers, rewards)


def lipschitz(aggregate: Rule, rewards: RewardsLike) -> Rewards:
    """The local Lipschitz constant Σ |∂R_eff/∂R_k| of an aggregator at a tuple of rewards, [..., S, A].

    `aggregate` maps components to a reward, with whatever else it takes filled in, and never looks beyond a state:
    `lipschitz(lambda r: soft_min(r, 0.1), rewards)`. A gate that looks at the rewards of its state counts as it moves.
    """
    rewards = _components(rewards)
    expected = jax.eval_shape(lambda r: r[..., 0, :, :], rewards)
    if not callable(aggregate) or jax.tree.leaves(jax.eval_shape(aggregate, rewards)) != [expected]:
        raise ValueError("aggregate must be a function of components [..., N, S, A] that returns a reward [..., S, A]")
    reward, pull = jax.vjp(aggregate, rewards)

    def of_action(a: jax.Array) -> jax.Array:
        (slope,) = pull(jnp.zeros_like(reward).at[..., a].set(1))
        return jnp.sum(jnp.abs(slope), axis=(-3, -1))

    return jax.jit(lambda: jnp.moveaxis(jax.lax.map(of_action, jnp.arange(reward.shape[-1])), 0, -1))()


def _components(rewards: Any) -> jax.Array:
    rewards = checks.array(rewards, "several rewards")
    if rewards.ndim < 3 or not rewards.shape[-3]:
        raise ValueError(f"several rewards have shape [..., N, S, A]; this is {list(rewards.shape)}")
    return rewards if jnp.issubdtype(rewards.dtype, jnp.floating) else rewards.astype(jnp.result_type(float))


def _scores(scores: Any) -> jax.Array:
    scores = checks.array(scores, "scores")
    if scores.ndim < 2 or not scores.shape[-2]:
        raise ValueError(f"scores of components have shape [..., N, S], not {list(scores.shape)}")
    return scores if jnp.issubdtype(scores.dtype, jnp.floating) else scores.astype(jnp.result_type(float))


def _distribution(weights: jax.Array, name: str) -> jax.Array:
    """Weights over the axis before the last, checked where there are numbers to read."""
    if weights.ndim < 2 or not weights.size:
        raise ValueError(f"{name} must have shape [..., N, S], not {list(weights.shape)}")
    if not jnp.issubdtype(weights.dtype, jnp.floating):
        weights = weights.astype(jnp.result_type(float))
    if is_concrete(weights):
        numbers = np.asarray(weights)
        total = numbers.sum(-2)
        if not ((numbers >= 0).all() and (np.abs(total - 1) <= 1e-5).all()):
            raise ValueError(
                f"{name} must be a distribution over the rewards; the smallest is {numbers.min():g} and "
                f"they sum to between {total.min():g} and {total.max():g}"
            )
    return weights


def _positive(name: str, value: Any, dtype: Any) -> jax.Array:
    if is_concrete(value):
        with np.errstate(over="ignore"):
            number = np.asarray(checks.number(value, f"the {name}")).astype(dtype)
        if not 0 < number < np.inf:
            raise ValueError(f"the {name} must be one positive number that {dtype.name} can hold, not {value}")
        return placed(number)
    return jnp.asarray(value).astype(dtype)
