"""Best of N: the policy of drawing N answers from a base and keeping the one with the highest reward, exactly.

With F the base's distribution function of an answer's return, F₋ the mass strictly below it, and q = F − F₋,

    P(y) = b(y)/q · (Fᴺ − F₋ᴺ)

It looks at the order of returns only: no reward is too small to matter, so that it jumps at every tie for N ≥ 2, by
`jc.theory.best_of_jump`, where a KL-regularised policy of the same price does not. An answer is a whole path: an action
of a bandit, a sequence of a tree. What happens to whole answers is turned into π(a|s): of those through s, the share
that goes on with a.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxcliff.core import checks
from jaxcliff.core.numerics import promoted
from jaxcliff.core.records import is_concrete
from jaxcliff.core.types import NumbersLike, Policies, PolicyLike, RewardsLike, Whole, Word
from jaxcliff.model.mdp import MDP, check_one
from jaxcliff.model.transitions import ROW_SUM_TOLERANCE, Tree
from jaxcliff.solvers.solution import tie_tolerance_of

TIES = ("sample", "lowest")


class _Forest(NamedTuple):
    """How answers are put together; a state that no action leads to is a prompt of its own.

    `parent` is the pair s·A + a that leads to a state (S·A for none), `level` how many actions are before it, `root`
    the prompt, `ends` marks pairs that end an answer, `depth` is the number of levels.
    """

    parent: Any
    level: Any
    root: Any
    ends: Any
    depth: Any


@checks.public
def best_of(
    mdp: MDP,
    rewards: RewardsLike | None,
    base: PolicyLike,
    count: Whole,
    *,
    ties: Word = "sample",
    tie_tolerance: NumbersLike | None = None,
) -> Policies:
    """The policy of the best of `count` answers drawn from a base policy, [..., S, A]; see the module.

    Exact for bandits, where every context draws answers of its own, and where answers form a tree: for a `Tree`, and
    for deterministic problems in which no state is reached in two ways. Where no answer of the base passes, it is the
    base. A lane whose rewards are not finite, or whose base is no distribution over legal actions, is NaN.

    Args:
        mdp: the problem.
        rewards: [..., S, A]; the problem's own if None. An answer is worth its discounted return.
        base: what answers are drawn from, [..., S, A].
        count: N, at least 1.
        ties: of the best samples drawn, "sample" keeps one at random, or the one drawn first (both have the same law);
            "lowest" keeps the answer whose last pair (s, a) comes first: in a bandit, the lowest action.
        tie_tolerance: neighbouring returns that differ by no more are tied, in units of the reward's span; the default
            is that of `optimal_actions`.

    >>> import jaxcliff as jc
    >>> mdp = jc.problems.bandit([1.0, 1.0, 0.0])
    >>> jc.policies.best_of(mdp, None, [[0.25, 0.25, 0.5]], 2).round(4).tolist()
    [[0.375, 0.375, 0.25]]
    """
    check_one(mdp)
    if not isinstance(ties, str) or ties not in TIES:
        raise ValueError(f"ties must be one of {', '.join(map(repr, TIES))}, not {checks.shown(ties)}")
    if is_concrete(count):
        checks.whole(count, "count", 1)
    reward = mdp.reward if rewards is None else checks.array(rewards, "rewards")
    base = checks.array(base, "the base policy")
    for what, given in (("rewards", reward), ("the base policy", base)):
        if given.ndim < 2 or given.shape[-2:] != mdp.reward.shape:
            s, a = mdp.reward.shape
            raise ValueError(f"{what} must have shape [..., {s}, {a}] (states, actions), not {list(given.shape)}")
    dtype = promoted(mdp.dtype, *(x.dtype for x in (reward, base) if jnp.issubdtype(x.dtype, jnp.floating)))
    tolerance = tie_tolerance_of(dtype, tie_tolerance) if is_concrete(tie_tolerance) else tie_tolerance
    lead = jnp.broadcast_shapes(reward.shape[:-2], base.shape[:-2])
    full = (jnp.broadcast_to(x.astype(dtype), (*lead, *mdp.reward.shape)) for x in (reward, base))
    flat = [x.reshape(-1, *mdp.reward.shape) for x in full]
    numbers = (jnp.asarray(x).astype(dtype) for x in (count, tolerance))
    found = _lanes(mdp.astype(dtype), _forest_of(mdp), *flat, *numbers, ties == "lowest")
    return found.reshape(*lead, *mdp.reward.shape)


@functools.partial(jax.jit, static_argnums=6)
def _lanes(
    mdp: MDP, forest: _Forest, rewards: Array, base: Array, count: Array, tolerance: Array, lowest: bool
) -> Array:
    legal = jnp.ones(mdp.reward.shape, bool) if mdp.legal is None else mdp.legal
    counts = mdp.decisions
    free = jnp.zeros(mdp.num_states, bool) if mdp.terminal is None else mdp.terminal

    def lane(reward: Array, own: Array) -> Array:
        own = jnp.where(free[:, None], legal.astype(own.dtype), jnp.where(legal, own, 0))
        total = jnp.sum(own, axis=-1, keepdims=True)
        sound = jnp.all((own >= 0) & (jnp.abs(total - 1) <= ROW_SUM_TOLERANCE)) & jnp.all(
            ~counts | jnp.isfinite(reward)
        )
        own = own / jnp.where(total > 0, total, 1)
        reward = jnp.where(counts & sound, reward, 0)
        least = jnp.min(jnp.where(counts, reward, jnp.inf))
        span = jnp.max(jnp.where(counts, reward, -jnp.inf)) - least
        returns, masses = _answers(forest, mdp.discount, reward, own)
        kept = _kept(forest, returns, masses, count, tolerance * span, lowest)
        return jnp.where(sound, _conditional(forest, kept, own), jnp.nan)

    return jax.vmap(lane)(rewards, base)


def _answers(forest: _Forest, discount: Array, reward: Array, base: Array) -> tuple[Array, Array]:
    """The return of every pair with all that comes before it, and the log of its mass: −∞ where it ends no answer."""
    logs = jnp.log(base)
    place = jnp.minimum(forest.parent, reward.size - 1)

    def down(level: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        before, mass, weight = carry
        here, parent = forest.level == level, place // reward.shape[1]
        after = before[parent] + weight[parent] * reward.ravel()[place]
        new = (after, mass[parent] + logs.ravel()[place], weight[parent] * discount)
        return tuple(jnp.where(here, x, old) for x, old in zip(new, carry, strict=True))  # type: ignore[return-value]

    zero = jnp.zeros(reward.shape[0], reward.dtype)
    before, mass, weight = jax.lax.fori_loop(1, forest.depth, down, (zero, zero, zero + 1))
    masses = jnp.where(forest.ends, mass[:, None] + logs, -jnp.inf)
    return before[:, None] + weight[:, None] * reward, masses


def _kept(forest: _Forest, returns: Array, masses: Array, count: Array, tolerance: Array, lowest: bool) -> Array:
    """The log of the mass with which every answer is the one that is kept."""
    size, mass = returns.size, masses.ravel()
    there = mass > -jnp.inf
    root = jnp.where(there, jnp.repeat(forest.root, returns.shape[1], total_repeat_length=size), returns.shape[0])
    order = jnp.lexsort((jnp.where(there, returns.ravel(), 0), root))
    sorted_root, value = root[order], returns.ravel()[order]
    new_root = jnp.concatenate([jnp.ones(1, bool), sorted_root[1:] != sorted_root[:-1]])
    new = new_root.at[1:].set(new_root[1:] | (value[1:] - value[:-1] > tolerance))
    level = jnp.cumsum(new) - 1
    if lowest:
        again = jnp.lexsort((-order, level))
        order, level = order[again], jnp.arange(size)
    share = jnp.where(there, jnp.exp(mass), 0)[order]
    upto = _running(share, new_root)
    whole = jax.ops.segment_max(upto, sorted_root, returns.shape[0] + 1)[sorted_root]
    of_level = jax.ops.segment_sum(share, level, size)[level]
    below_or_tied = jax.ops.segment_max(upto, level, size)[level]
    safe = there[order] & (of_level > 0)
    part = jnp.where(safe, of_level / jnp.where(safe, below_or_tied, 1), 0.5)
    upto_all = jnp.where(safe, below_or_tied / jnp.where(safe, whole, 1), 1)
    gone = jnp.log1p(-jnp.minimum(part, 1))  # log F₋/F
    won = count * jnp.log(jnp.minimum(upto_all, 1)) + jnp.log(-jnp.expm1(count * gone))
    found = jnp.where(safe, mass[order] - jnp.log(jnp.where(safe, of_level, 1)) + won, -jnp.inf)
    return jnp.zeros(size, returns.dtype).at[order].set(found).reshape(returns.shape)


def _running(share: Array, new: Array) -> Array:
    """Running sums that begin again where `new` is set."""

    def join(left: tuple[Array, Array], right: tuple[Array, Array]) -> tuple[Array, Array]:
        return left[0] | right[0], jnp.where(right[0], right[1], left[1] + right[1])

    return jax.lax.associative_scan(join, (new, share))[1]


def _conditional(forest: _Forest, kept: Array, base: Array) -> Array:
    """π(a|s) from the log masses of whole answers: those of a state are handed to the pair that leads to it."""

    def up(i: Array, logs: Array) -> Array:
        here = forest.level == forest.depth - 1 - i
        place = jnp.where(here, forest.parent, logs.size)
        return logs.ravel().at[place].set(jax.nn.logsumexp(logs, axis=-1), mode="drop").reshape(logs.shape)

    logs = jax.lax.fori_loop(0, forest.depth - 1, up, kept)
    most = jnp.max(logs, axis=-1, keepdims=True)
    passes = most > -jnp.inf
    weight = jnp.where(passes, jnp.exp(logs - jnp.where(passes, most, 0)), base)
    return weight / jnp.sum(weight, axis=-1, keepdims=True)


def _forest_of(mdp: MDP) -> _Forest:
    states, actions = mdp.reward.shape
    number, nobody = np.arange(states), states * actions
    tree = mdp.transitions
    if tree is None:
        return _Forest(np.full(states, nobody), 0 * number, number, np.ones((states, actions), bool), 1)
    if isinstance(tree, Tree):
        before = (number - 1) // tree.vocabulary * actions + (number - 1) % tree.vocabulary
        level = np.repeat(np.arange(tree.depth), tree.level_sizes)
        ends = (level[:, None] == tree.depth - 1) | (np.arange(actions) >= tree.vocabulary)
        return _Forest(np.where(number, before, nobody), level, 0 * number, ends, tree.depth)
    if not is_concrete(mdp):
        raise TypeError("best_of looks for the tree in transitions, so that they cannot be traced: call it outside")
    return _grown(mdp, states, actions)


def _grown(mdp: MDP, states: int, actions: int) -> _Forest:
    """The forest of a deterministic problem, if it is one."""
    rows = mdp.transitions.to_scipy()
    decides = np.asarray(mdp.decisions).ravel()
    terminal = np.zeros(states, bool) if mdp.terminal is None else np.asarray(mdp.terminal)
    spread = np.flatnonzero(decides & (np.diff(rows.indptr) != 1))
    if len(spread):
        raise _no_tree(mdp, int(spread[0]) // actions, "an action leads to one of several states")
    pairs = np.flatnonzero(decides)
    nxt = rows.indices[rows.indptr[pairs]]
    on = ~terminal[nxt]
    parent = np.full(states, states * actions)
    parent[nxt[on]] = pairs[on]
    twice = np.flatnonzero(np.bincount(nxt[on], minlength=states) > 1)
    if len(twice):
        raise _no_tree(mdp, int(twice[0]), "which is reached in two ways")
    level, root = np.zeros(states, int), np.arange(states)
    at = np.where(parent < states * actions, parent // actions, -1)
    while (moving := at >= 0).any():
        level[moving] += 1
        root[moving] = at[moving]
        if level.max() >= states:
            raise _no_tree(mdp, int(np.argmax(level)), "a path goes round")
        at[moving] = np.where(parent[at[moving]] < states * actions, parent[at[moving]] // actions, -1)
    ends = np.zeros(states * actions, bool)
    ends[pairs[~on]] = True
    return _Forest(parent, level, root, ends.reshape(states, actions), int(level.max()) + 1)


def _no_tree(mdp: MDP, state: int, why: str) -> ValueError:
    return ValueError(
        "best_of is exact for bandits and where answers form a tree (every action leads to one state, and no state is "
        f"reached in two ways); here it is not so at {mdp.labels.state(state)}: {why}"
    )
