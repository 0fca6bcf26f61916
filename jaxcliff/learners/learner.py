"""A learner: from rewards to the policies that so many steps of a policy gradient make of them, noise included.

A step samples groups of answers, makes advantages of their rewards, and moves the logits by

    Δz = η·Σ coefficient·∇log π,   coefficient = A·ratio (clipped) − β·c(log π/b)

with the parts of `advantages` and `leashes`. All of it is one program, of which seeds, rewards and numbers (rates,
strengths, noise) are arguments.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jaxcliff.core import checks
from jaxcliff.core.records import record, static
from jaxcliff.core.types import Key, Policies, RewardsLike
from jaxcliff.learners import rollouts as sampling
from jaxcliff.learners.advantages import Estimator, _estimator, mixed_first, mixed_last
from jaxcliff.learners.leashes import Leash, coefficient
from jaxcliff.model.mdp import MDP
from jaxcliff.solvers.evaluate import evaluate, occupancy

GRADIENTS = ("sampled", "exact", "natural")
NEVER = 1e9  # a clip that is never reached


class State(NamedTuple):
    """Where one lane stands: parameters, what the optimiser keeps, and the strength of an entropy target."""

    theta: Array
    memory: Any
    bonus: Array


@record
class Learner:
    """How policies are learned; called like every learner: (mdp, rewards [..., S, A], key) → policies [..., S, A].

    Attributes:
        rate: η, of the optimiser.
        steps: how many.
        gradient: "sampled" from groups; "exact", of the return; "natural", mirror descent (tabular policies only).
        group: G, answers of a group; prompts: groups of a step (of a bandit, one for each context).
        advantage: a name or function of `jc.learners.advantages`.
        separately: every reward gets an advantage of its own before they are mixed (GDPO).
        clip: (low, high), how far the ratio to the policy that was sampled may go before a sample counts no more.
        epochs: steps that are taken on the same samples.
        leash: one or several of `jc.learners.leashes`.
        noise: standard deviation of what is added to every sampled reward; none if not given.
        base: the policy from which it starts and to which leashes hold it; uniform over what is legal if not given.
        weights: of several rewards, [N]: then rewards are [..., N, S, A].
        features: Φ [S, A, D]: logits are log b + Φθ; tabular if not given.
        optimiser: from a rate to an optax transformation; plain ascent if not given.
    """

    rate: Any
    clip: Any = (NEVER, NEVER)
    leash: Any = ()
    noise: Any = None
    base: Any = None
    weights: Any = None
    features: Any = None
    steps: Any = static(default=1000)
    gradient: str = static(default="sampled")
    group: Any = static(default=8)
    prompts: Any = static(default=1)
    advantage: str | Estimator = static(default="mean")
    separately: Any = static(default=False)
    epochs: Any = static(default=1)
    optimiser: Callable[[Any], optax.GradientTransformation] | None = static(default=None)

    def __post_init__(self) -> None:
        for name, least in (("steps", 0), ("group", 1), ("prompts", 1), ("epochs", 1)):
            checks.whole(getattr(self, name), name, least)
        if self.gradient not in GRADIENTS:
            raise ValueError(f"gradient must be one of {', '.join(GRADIENTS)}, not {checks.shown(self.gradient)}")
        if self.gradient == "natural" and (self.features is not None or self.optimiser is not None):
            raise ValueError("the natural gradient is that of a tabular policy and plain ascent: leave features out")
        _estimator(self.advantage)
        for leash in self.leashes:
            if not isinstance(leash, Leash):
                raise ValueError(f"a leash is one of jc.learners.leashes, not {checks.shown(leash)}")
        if self.separately and self.weights is None:
            raise ValueError("rewards that get advantages of their own need weights=, and rewards [..., N, S, A]")

    @property
    def leashes(self) -> tuple[Any, ...]:
        """All of them."""
        if isinstance(self.leash, tuple | list):
            return tuple(self.leash)
        return (self.leash,)

    def __call__(self, mdp: MDP, rewards: RewardsLike, key: Key) -> Policies:
        """The policies that it learns, a seed of its own for each reward."""
        return self.course(mdp, rewards, key, points=1)[..., -1, :, :]

    def course(self, mdp: MDP, rewards: RewardsLike, key: Key, *, points: int = 32) -> Policies:
        """Its policies on the way, [..., points + 1, S, A], from the base to the last step, equally far apart."""
        rewards = jnp.asarray(rewards)
        own = 2 if self.weights is None else 3
        if rewards.shape[-2:] != mdp.reward.shape or rewards.ndim < own:
            raise ValueError(f"rewards have shape {list(rewards.shape)}; expected [..., {_shape(mdp, own)}]")
        lead = rewards.shape[:-own]
        flat = rewards.reshape(-1, *((1,) if own == 2 else ()), *rewards.shape[-own:])
        keys = jax.random.split(checks.random_key(key), flat.shape[0])
        points = min(checks.whole(points, "points", 1), max(self.steps, 1))
        found = _learned(self, mdp, flat.astype(mdp.dtype), keys, jnp.asarray(self.steps), points)
        return found.reshape(*lead, *found.shape[1:])


def _shape(mdp: MDP, axes: int) -> str:
    states, actions = mdp.reward.shape
    return f"{'N, ' if axes == 3 else ''}{states}, {actions}"


@functools.partial(jax.jit, static_argnums=5)
def _learned(learner: Learner, mdp: MDP, rewards: Array, keys: Array, steps: Array, points: int) -> Array:
    """Policies [B, points + 1, S, A]; point p is after ⌊p·steps/points⌋ steps."""
    at = jnp.arange(points + 1) * steps // points

    def lane(reward: Array, key: Array) -> Array:
        step = functools.partial(_step, learner, mdp, reward)
        state = _start(learner, mdp)

        def on(state: State, ends: Array) -> tuple[State, Array]:
            def one(i: Any, state: State) -> State:
                return step(state, jax.random.fold_in(key, i))

            state = jax.lax.fori_loop(ends[0], ends[1], one, state)
            return state, policy_of(learner, mdp, state.theta)[0]

        _, several = jax.lax.scan(on, state, jnp.stack([at[:-1], at[1:]], axis=1))
        return jnp.concatenate([policy_of(learner, mdp, state.theta)[0][None], several])

    return jax.vmap(lane)(rewards, keys)


def base_log(learner: Learner, mdp: MDP) -> Array:
    """Log b, −∞ where an action is illegal."""
    legal = jnp.ones(mdp.reward.shape, bool) if mdp.legal is None else mdp.legal
    if learner.base is None:
        count = legal.sum(axis=-1, keepdims=True).astype(mdp.dtype)
        return jnp.where(legal, -jnp.log(count), -jnp.inf)
    return jnp.where(legal, jnp.log(jnp.asarray(learner.base, mdp.dtype)), -jnp.inf)


def policy_of(learner: Learner, mdp: MDP, theta: Array) -> tuple[Array, Array]:
    """(π, log π), [S, A]; log π is 0 where π is."""
    moved = theta if learner.features is None else jnp.asarray(learner.features, mdp.dtype) @ theta
    base = base_log(learner, mdp)
    logs = jax.nn.log_softmax(base + moved, axis=-1)
    return jnp.exp(logs), jnp.where(jnp.isneginf(base), 0, logs)


def _start(learner: Learner, mdp: MDP) -> State:
    shape = mdp.reward.shape if learner.features is None else jnp.shape(learner.features)[-1:]
    theta = jnp.zeros(shape, mdp.dtype)
    memory = () if learner.optimiser is None else learner.optimiser(learner.rate).init(theta)
    return State(theta, memory, jnp.zeros((), mdp.dtype))


def _step(learner: Learner, mdp: MDP, rewards: Array, state: State, key: Array) -> State:
    """One set of samples, and the steps that are taken on it."""
    if learner.gradient != "sampled":
        pull, visits = _expected(learner, mdp, rewards, state)
        return _ascended(learner, mdp, state, pull, visits)
    sampled, scored, noisy = jax.random.split(key, 3)
    policy, old = policy_of(learner, mdp, state.theta)
    starts, counts = sampling.starts(mdp, learner.prompts, scored)
    rolled = sampling.sample(mdp, starts, policy, sampled, learner.group, sampling.length_of(mdp))
    base = jnp.where(jnp.isneginf(base_log(learner, mdp)), 0, base_log(learner, mdp))
    taken = rolled.states, rolled.actions
    paid = sampling.returns(mdp, rewards, rolled)
    if learner.noise is not None:
        paid += jnp.asarray(learner.noise, mdp.dtype) * jax.random.normal(noisy, paid.shape, mdp.dtype)
    for leash in learner.leashes:
        if leash.form == "reward":
            ratio = jnp.where(rolled.live, (old - base)[taken], 0).sum(axis=-1)
            paid = paid - jnp.asarray(leash.strength, mdp.dtype) * ratio
    estimator, mixed = _estimator(learner.advantage), mixed_last if learner.separately else mixed_first
    weights = jnp.ones(1, mdp.dtype) if learner.weights is None else jnp.asarray(learner.weights, mdp.dtype)
    advantage = mixed(paid, weights, estimator)[..., None]
    low, high = (jnp.asarray(x, mdp.dtype) for x in learner.clip)
    fading = mdp.discount.astype(mdp.dtype) ** jnp.arange(rolled.states.shape[-1], dtype=mdp.dtype)

    def one(_: Any, state: State) -> State:
        _, logs = policy_of(learner, mdp, state.theta)
        ratio = jnp.exp((logs - old)[taken])
        clipped = jnp.where(advantage > 0, ratio > 1 + high, ratio < 1 - low)
        pull = jnp.where(clipped, 0, advantage * ratio)
        for leash in learner.leashes:
            if leash.form in ("k1", "k2", "k3"):
                pull -= jnp.asarray(leash.strength, mdp.dtype) * coefficient(leash.form, (logs - base)[taken])
        table = sampling.table(mdp, rolled, pull * fading, counts)
        visits = sampling.table(mdp, rolled, jnp.broadcast_to(fading, pull.shape), counts).sum(axis=-1)
        return _ascended(learner, mdp, state, table, visits)

    return one(0, state) if learner.epochs == 1 else jax.lax.fori_loop(0, learner.epochs, one, state)


def _expected(learner: Learner, mdp: MDP, rewards: Array, state: State) -> tuple[Array, Array]:
    """The pull on every log π(a|s) in expectation, and how often states are visited."""
    policy, logs = policy_of(learner, mdp, state.theta)
    base = jnp.where(jnp.isneginf(base_log(learner, mdp)), 0, base_log(learner, mdp))
    weights = jnp.ones(1, mdp.dtype) if learner.weights is None else jnp.asarray(learner.weights, mdp.dtype)
    reward = jnp.einsum("n,nsa->sa", weights, rewards, precision="highest")
    for leash in learner.leashes:
        if leash.form == "reward":
            reward = reward - jnp.asarray(leash.strength, mdp.dtype) * (logs - base)
    sol = evaluate(mdp, policy, reward)
    gains = jnp.where(policy > 0, sol.q_values - sol.values[:, None], 0)
    for leash in learner.leashes:
        if leash.form in ("k1", "k2", "k3"):
            gains -= jnp.asarray(leash.strength, mdp.dtype) * coefficient(leash.form, logs - base)
    visits = occupancy(mdp, policy)
    return (gains if learner.gradient == "natural" else gains * visits), visits.sum(axis=-1)


def _ascended(learner: Learner, mdp: MDP, state: State, pull: Array, visits: Array) -> State:
    """One step along Σ pull·∇log π and the entropy of visited states."""
    policy, logs = policy_of(learner, mdp, state.theta)
    entropies = -(policy * logs).sum(axis=-1, keepdims=True)
    natural = learner.gradient == "natural"
    moved = (
        pull - policy * pull.sum(axis=-1, keepdims=True)
        if not natural
        else pull - (policy * pull).sum(-1, keepdims=True)
    )
    bonus = state.bonus
    for leash in learner.leashes:
        if leash.form not in ("entropy", "target"):
            continue
        strength = jnp.asarray(leash.strength, mdp.dtype)
        if leash.form == "target":
            seen = (visits * entropies[:, 0]).sum() / jnp.maximum(visits.sum(), 1e-30)
            bonus = bonus + strength * (jnp.asarray(leash.entropy, mdp.dtype) - seen)
            strength = bonus
        slope = -(logs + entropies)
        moved += strength * (slope if natural else visits[:, None] * policy * slope)
    if learner.features is not None:
        moved = jnp.einsum("sad,sa->d", jnp.asarray(learner.features, mdp.dtype), moved, precision="highest")
    if learner.optimiser is None:
        return State(state.theta + jnp.asarray(learner.rate, mdp.dtype) * moved, state.memory, bonus)
    with jax.numpy_dtype_promotion("standard"):  # optax mixes counts with numbers
        updates, memory = learner.optimiser(learner.rate).update(-moved, state.memory, state.theta)
    return State(optax.apply_updates(state.theta, updates), memory, bonus)
