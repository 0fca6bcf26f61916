"""One step of a learner, and as many as it takes: the program that `Learner` runs for every seed and reward."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jaxcliff.learners import rollouts as sampling
from jaxcliff.learners.advantages import Answers, estimator_of, mixed_first, mixed_last
from jaxcliff.learners.leashes import Bonus, InReward, Loss, Resampled, Seen
from jaxcliff.learners.tokens import Sampled
from jaxcliff.model.mdp import MDP
from jaxcliff.solvers.evaluate import evaluate, occupancy


class State(NamedTuple):
    """Where one lane stands: parameters, what the optimiser keeps, and what each bonus keeps."""

    theta: Any
    memory: Any
    bonuses: tuple[Any, ...]


class Counted(NamedTuple):
    """Over steps: groups, those that are dead or nearly so, and advantages, their size and the largest."""

    groups: Array
    dead: Array
    near: Array
    size: Array
    largest: Array


class Course(NamedTuple):
    """What is kept of one lane at P points: policies [P, S, A]; with groups, the rewards [P, N, C, G] of those that it

    samples next, and what was counted since the point before.
    """

    policies: Array
    paid: Any = None
    answers: Any = None
    counted: Any = None


class Groups(NamedTuple):
    """What one step samples: where answers went, how much each group counts, what they were paid, [N, C, G]."""

    rolled: sampling.Rollouts
    counts: Array
    paid: Array
    answers: Any


@functools.partial(jax.jit, static_argnames="watched")
def trained(
    learner: Any, mdp: MDP, rewards: Array, keys: Array, at: Array, near: Array, watched: bool = False
) -> Course:
    """Courses of lanes with rewards [B, N, S, A] and keys [B], at points after so many steps each, [P]."""

    def lane(reward: Array, key: Array) -> Course:
        state = started(learner, mdp)
        none = Counted(*jnp.zeros((5, *()), mdp.dtype)) if watched else ()

        def on(state: State, ends: Array) -> tuple[State, Course]:
            def one(i: Any, carry: Any) -> Any:
                state, counted = carry
                return stepped(learner, mdp, reward, state, counted, jax.random.fold_in(key, i), near)

            state, counted = jax.lax.fori_loop(ends[0], ends[1], one, (state, none))
            policy, logs = policy_of(learner, mdp, state.theta)
            if not watched:
                return state, Course(policy)
            after = groups(learner, mdp, reward, policy, logs, jax.random.fold_in(key, ends[1]))
            return state, Course(policy, after.paid, after.answers, counted)

        return jax.lax.scan(on, state, jnp.stack([jnp.concatenate([at[:1] * 0, at[:-1]]), at], axis=1))[1]

    return jax.vmap(lane)(rewards, keys)


def started(learner: Any, mdp: MDP) -> State:
    """Before the first step: at the base."""
    table = jnp.zeros(mdp.reward.shape, mdp.dtype)
    theta = table if learner.parameters is None else learner.parameters.start(mdp.dtype)
    memory = () if learner.optimiser is None else learner.optimiser(learner.rate).init(theta)
    return State(theta, memory, tuple(x.start(mdp.dtype) for x in of_kind(learner, Bonus)))


def base_log(learner: Any, mdp: MDP) -> Array:
    """Log b, −∞ where an action is illegal."""
    legal = jnp.ones(mdp.reward.shape, bool) if mdp.legal is None else mdp.legal
    if learner.base is None:
        count = legal.sum(axis=-1, keepdims=True).astype(mdp.dtype)
        return jnp.where(legal, -jnp.log(count), -jnp.inf)
    return jnp.where(legal, jnp.log(jnp.asarray(learner.base, mdp.dtype)), -jnp.inf)


def policy_of(learner: Any, mdp: MDP, theta: Any) -> tuple[Array, Array]:
    """(π, log π), [S, A]; log π is 0 where π is."""
    return _normalised(base_log(learner, mdp), _logits(learner, theta))


def _logits(learner: Any, theta: Any) -> Array:
    return theta if learner.parameters is None else learner.parameters.logits(theta)


def _normalised(base: Array, moved: Array) -> tuple[Array, Array]:
    logs = jax.nn.log_softmax(base + moved, axis=-1)
    return jnp.exp(logs), jnp.where(jnp.isneginf(base), 0, logs)


def of_kind(learner: Any, kind: type) -> list[Any]:
    """The leashes of one kind."""
    return [x for x in learner.leash if isinstance(x, kind)]


def groups(learner: Any, mdp: MDP, rewards: Array, policy: Array, logs: Array, key: Array) -> Groups:
    """Samples answers of a policy, pays them by each of the rewards [N, S, A], and takes off what leashes do."""
    sampled, starting, noisy, _ = _streams(learner, mdp, key)
    starts, counts = sampling.starts(mdp, learner.prompts, starting)
    length = sampling.length_of(mdp) if learner.length is None else learner.length
    rolled = sampling.sample(mdp, starts, policy, sampled, learner.group, length)
    paid = sampling.returns(mdp, rewards, rolled)
    if learner.noise is not None:
        drawn = jax.random.rademacher if learner.coin else jax.random.normal
        noise = drawn(noisy, paid.shape, mdp.dtype)
        paid += jnp.asarray(learner.noise, mdp.dtype) * noise
    for leash in of_kind(learner, InReward):
        ratio = (logs - _finite(base_log(learner, mdp)))[rolled.states, rolled.actions]
        paid -= jnp.asarray(leash.strength, mdp.dtype) * jnp.where(rolled.live, ratio, 0).sum(axis=-1)
    return Groups(rolled, counts, paid, _answers(learner, mdp, rolled, policy, logs))


def _answers(learner: Any, mdp: MDP, rolled: sampling.Rollouts, policy: Array, logs: Array) -> Any:
    """What the advantage reads of answers besides their rewards."""
    if not getattr(learner.advantage, "reads_answers", False):
        return ()
    length = rolled.live.sum(axis=-1)
    each = jnp.where(rolled.live, -(policy * logs).sum(axis=-1)[rolled.states], 0)
    at = (length - 1)[..., None]
    states, actions = (jnp.take_along_axis(x, at, axis=-1)[..., 0] for x in (rolled.states, rolled.actions))
    entropy = each.sum(axis=-1) / jnp.maximum(length, 1).astype(each.dtype)
    return Answers(entropy, length.astype(each.dtype), states * mdp.num_actions + actions)


def _streams(learner: Any, mdp: MDP, key: Array) -> list[Array]:
    """Keys of what a step draws: answers, starts, noise, what tokens do. What draws nothing costs nothing."""
    drawn = [True, mdp.transitions is not None, learner.noise is not None, bool(learner.tokens)]
    if sum(drawn) == 1:
        return [key] * len(drawn)
    several = iter(jax.random.split(key, sum(drawn)))
    return [next(several) if one else key for one in drawn]


def advantages(learner: Any, paid: Array, answers: Any) -> Array:
    """[N, C, G] → [C, G]."""
    mixed = mixed_last if learner.separately else mixed_first
    estimator = estimator_of(learner.advantage)
    if answers != ():
        estimator = functools.partial(estimator, answers=answers)
    return mixed(paid, _weights(learner, paid.dtype), estimator)


def _mixed(learner: Any, paid: Array) -> Array:
    """The weighted sum of rewards [N, C, G]."""
    return jnp.einsum("n,ncg->cg", _weights(learner, paid.dtype), paid, precision="highest")


def _weights(learner: Any, dtype: Any) -> Array:
    return jnp.ones(1, dtype) if learner.weights is None else jnp.asarray(learner.weights, dtype)


def stepped(
    learner: Any, mdp: MDP, rewards: Array, state: State, counted: Any, key: Array, near: Array
) -> tuple[State, Any]:
    """One set of samples, and the steps that are taken on it."""
    if learner.gradient != "sampled":
        return _ascended(learner, mdp, state, *_expected(learner, mdp, rewards, state)), counted
    policy, old = policy_of(learner, mdp, state.theta)
    rolled, counts, paid, answers = groups(learner, mdp, rewards, policy, old, key)
    advantage = advantages(learner, paid, answers)
    if counted != ():
        counted = _counted(counted, learner, paid, advantage, near)
    base = _finite(base_log(learner, mdp))
    taken = rolled.states, rolled.actions
    fading = mdp.discount.astype(mdp.dtype) ** jnp.arange(rolled.states.shape[-1], dtype=mdp.dtype)
    extra = [_resampled(leash, learner, mdp, rewards, policy, old, key) for leash in of_kind(learner, Resampled)]

    def one(i: Any, state: State) -> State:
        now, logs = policy_of(learner, mdp, state.theta)
        ratio = jnp.exp((logs - old)[taken])
        gains, clipped = advantage[..., None], _clipped(learner, advantage[..., None], ratio)
        if learner.tokens:
            total = _mixed(learner, paid)
            entropy = -(now * logs).sum(axis=-1)[rolled.states]
            tempered = functools.partial(_tempered, base_log(learner, mdp), old, taken)
            sampled = Sampled(
                total[..., None], gains, logs[taken], old[taken], ratio, entropy, clipped, rolled.live, tempered
            )
            own = jax.random.fold_in(_streams(learner, mdp, key)[-1], i)
            gains = jnp.broadcast_to(gains, ratio.shape)
            for token, drawn in zip(learner.tokens, jax.random.split(own, len(learner.tokens)), strict=True):
                gains = token(gains, sampled, drawn)
            clipped = _clipped(learner, gains, ratio)
        pull = jnp.where(clipped, 0, gains * ratio)
        for leash in of_kind(learner, Loss):
            pull = leash.pulled(pull, (logs - base)[taken])
        table = sum(extra, sampling.table(mdp, rolled, pull * fading, counts))
        visits = jnp.zeros(())
        if of_kind(learner, Bonus):
            visits = sampling.table(mdp, rolled, jnp.broadcast_to(fading, pull.shape), counts).sum(axis=-1)
        return _ascended(learner, mdp, state, table, visits)

    state = one(0, state) if learner.epochs == 1 else jax.lax.fori_loop(0, learner.epochs, one, state)
    return state, counted


def _clipped(learner: Any, gains: Array, ratio: Array) -> Array:
    """Where the ratio has gone so far that a sample counts no more."""
    low, high = (jnp.asarray(x, ratio.dtype) for x in learner.clip)
    return jnp.where(gains > 0, ratio > 1 + high, ratio < 1 - low)


def _tempered(base: Array, old: Array, taken: Any, temperature: Array) -> Array:
    """Log π_old^T of the sampled tokens: the policy that was sampled, at a temperature."""
    return jax.nn.log_softmax(jnp.where(jnp.isneginf(base), -jnp.inf, old / temperature), axis=-1)[taken]


def _resampled(leash: Any, learner: Any, mdp: MDP, rewards: Array, policy: Array, logs: Array, key: Array) -> Array:
    """What answers that are sampled at another temperature add to the pull, [S, A]."""
    often = occupancy(mdp, policy).sum(axis=-1)
    temperature = leash.temperature(Seen(policy, logs, often))
    base = base_log(learner, mdp)
    warmed, warm_logs = _normalised(jnp.where(jnp.isneginf(base), base, 0), logs / temperature)
    rolled, counts, paid, answers = groups(learner, mdp, rewards, warmed, warm_logs, jax.random.fold_in(key, 1))
    better = leash.kept(advantages(learner, paid, answers))
    return sampling.table(mdp, rolled, jnp.broadcast_to(better[..., None], rolled.live.shape), counts)


def _counted(counted: Counted, learner: Any, paid: Array, advantage: Array, near: Array) -> Counted:
    """With one more step."""
    total = _mixed(learner, paid)
    span = total.max(axis=-1) - total.min(axis=-1)
    size = jnp.abs(advantage)
    return Counted(
        counted.groups + len(span),
        counted.dead + (span == 0).sum().astype(paid.dtype),
        counted.near + ((span > 0) & (span <= near.astype(paid.dtype))).sum().astype(paid.dtype),
        counted.size + size.mean(axis=-1).sum(),
        jnp.maximum(counted.largest, size.max()),
    )


def _expected(learner: Any, mdp: MDP, rewards: Array, state: State) -> tuple[Array, Array]:
    """The pull on every log π(a|s) in expectation, and how often states are visited."""
    policy, logs = policy_of(learner, mdp, state.theta)
    away = logs - _finite(base_log(learner, mdp))
    reward = jnp.einsum("n,nsa->sa", _weights(learner, mdp.dtype), rewards, precision="highest")
    for leash in of_kind(learner, InReward):
        reward -= jnp.asarray(leash.strength, mdp.dtype) * away
    sol = evaluate(mdp, policy, reward)
    gains = jnp.where(policy > 0, sol.q_values - sol.values[:, None], 0)
    for leash in of_kind(learner, Loss):
        gains = leash.pulled(gains, away)
    visits = occupancy(mdp, policy)
    return (gains if learner.gradient == "natural" else gains * visits), visits.sum(axis=-1)


def _ascended(learner: Any, mdp: MDP, state: State, pull: Array, visits: Array) -> State:
    """One step along Σ pull·∇log π and the bonuses."""
    base, natural = base_log(learner, mdp), learner.gradient == "natural"
    logits, back = jax.vjp(functools.partial(_logits, learner), state.theta)
    policy, _ = _normalised(base, logits)
    weight = policy if natural else jnp.ones((), mdp.dtype)
    moved = pull - jnp.where(natural, 1, policy) * (weight * pull).sum(axis=-1, keepdims=True)
    kept = state.bonuses
    if bonuses := of_kind(learner, Bonus):

        def gained(z: Array) -> tuple[Array, tuple[Any, ...]]:
            seen = Seen(*_normalised(base, z), visits)
            each = [x.gain(seen, memory) for x, memory in zip(bonuses, kept, strict=True)]
            return sum((gain for gain, _ in each), jnp.zeros((), mdp.dtype)), tuple(memory for _, memory in each)

        slope, kept = jax.grad(gained, has_aux=True)(logits)
        often = visits[:, None] * policy
        moved += jnp.where(often > 0, slope / jnp.where(often > 0, often, 1), 0) if natural else slope
    (uphill,) = back(moved)
    if learner.optimiser is None:
        rate = jnp.asarray(learner.rate, mdp.dtype)
        return State(jax.tree.map(lambda x, g: x + rate * g, state.theta, uphill), state.memory, kept)
    with jax.numpy_dtype_promotion("standard"):  # optax mixes counts with numbers
        downhill = jax.tree.map(jnp.negative, uphill)
        updates, memory = learner.optimiser(learner.rate).update(downhill, state.memory, state.theta)
    return State(optax.apply_updates(state.theta, updates), memory, kept)


def _finite(base: Array) -> Array:
    return jnp.where(jnp.isneginf(base), 0, base)
