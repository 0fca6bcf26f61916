"""The reward that given action values belong to, and the least change of a reward that breaks a tie."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcliff.core import checks, datasets
from jaxcliff.core.labels import Labels, labelled
from jaxcliff.core.numerics import cast, norm_of, promoted
from jaxcliff.core.records import by_hand, is_concrete, record
from jaxcliff.core.types import Dataset, Number, RewardLike, Rewards, Whole
from jaxcliff.model.mdp import MDP, check_one
from jaxcliff.model.provenance import recorded


@checks.public
def inverse_bellman(mdp: MDP, q_values: RewardLike) -> Rewards:
    """The one reward whose optimal action values are `q_values`: R = Q − γ P max_a Q.

    Choose Q, get R: exact ties and known answers are planted this way (theory: the inverse Bellman map). The
    reward of illegal actions and of terminal states is 0.
    """
    check_one(mdp)
    q = checks.array(q_values, "q_values")
    if q.ndim < 2 or q.shape[-2:] != mdp.reward.shape:
        raise ValueError(f"q_values must have shape [..., {mdp.num_states}, {mdp.num_actions}], not {list(q.shape)}")
    q = cast(q, promoted(mdp.dtype, q.dtype))
    mdp = mdp.astype(q.dtype)
    return _difference(q, _discounted(mdp, q), mdp.decisions)


@jax.jit
def _discounted(mdp: MDP, q: Rewards) -> Rewards:
    """γ P max_a Q."""
    values = jnp.max(q if mdp.legal is None else jnp.where(mdp.legal, q, -jnp.inf), axis=-1)
    if mdp.terminal is not None:
        values = jnp.where(mdp.terminal, 0, values)
    return mdp.discount * mdp.expect(values)


@jax.jit
def _difference(q: Rewards, after: Rewards, counts: jax.Array) -> Rewards:
    """A program of its own: in one with the product above the rounding would be another."""
    return jnp.where(counts, q - after, 0)


@record
class Bump:
    """A reward that makes one action best by a margin, and three numbers for how far away it is.

    Attributes:
        reward: R_ε, [S, A].
        q_values: its optimal action values, Q + ε at the chosen pair.
        realised: ‖R_ε − R‖ as computed.
        sharp: the exact norm; at a tie ε·max{|1 − γP(s|s,a)|, γ max_{(s',a') ≠ (s,a)} P(s|s',a')} ≤ ε.
        paper: (1 + γ)ε, the bound of Proposition 2.9; never attained for γ > 0.
    """

    reward: Rewards
    q_values: Rewards
    realised: jax.Array
    sharp: jax.Array
    paper: jax.Array
    labels: Labels = labelled()
    made: Any = by_hand(default=None)

    def summary(self) -> str:
        """One sentence."""
        return (
            f"a change of {float(self.realised):.4g} (exactly {float(self.sharp):.4g}, at most {float(self.paper):.4g} "
            "by Proposition 2.9) makes the action the only best one"
        )

    def to_dataset(self) -> Dataset:
        """The same as a labelled xarray dataset."""
        variables: Any = {name: (("state", "action"), getattr(self, name)) for name in ("reward", "q_values")}
        numbers = {name: getattr(self, name) for name in ("realised", "sharp", "paper")}
        size = self.reward.shape
        return datasets.build("Bump", variables, numbers, labels=self.labels, size=size, made=self.made)


@checks.public
@recorded
def bump(mdp: MDP, q_values: RewardLike, state: Whole, action: Whole, size: Number) -> Bump:
    """Breaks a tie: raises Q(state, action) by `size` and inverts the Bellman equation for the reward.

    The action must be among the best at `state` under `q_values`, or less than `size` behind. The new reward has the
    raised action values, the action is the only optimal one there, and the reward has moved by at most `size`, however
    small that is: the construction by which Propositions 2.9 and 2.10 show that every selection jumps at a tie.
    Everything may be mapped over; where nothing can be refused, a pair that does not exist gives NaN.
    """
    exists: Any = True
    if is_concrete(state, action):
        s: Any = checks.whole(state, "the state", 0, mdp.num_states - 1)
        a: Any = checks.whole(action, "the action", 0, mdp.num_actions - 1)
    else:
        s, a = jnp.asarray(state), jnp.asarray(action)
        exists = (s >= 0) & (s < mdp.num_states) & (a >= 0) & (a < mdp.num_actions)
    q = single(mdp, q_values, "q_values")
    size = checks.array(size, "size").astype(mdp.dtype)
    if size.ndim:
        raise ValueError(f"size must be one number, not an array of shape {list(size.shape)}; map over it")
    if is_concrete(mdp, q, size, s, a):
        place = f"{mdp.labels.state(s)}, {mdp.labels.action(a, s)}"
        legal, own = np.asarray(mdp.decisions)[s], np.asarray(q)[s]
        if not legal[a]:
            raise ValueError(f"{place} is illegal or terminal: there is nothing to raise")
        step, behind = np.asarray(size)[()], np.max(own[legal]) - own[a]
        if not (0 < step < np.inf and own[a] + step > np.max(own[legal])):
            raise ValueError(f"a bump of {step:g} does not make {place} the best: it is {behind:g} behind")
    return _bumped(mdp, q, s, a, size, exists).replace(labels=mdp.labels)


@jax.jit
def _bumped(mdp: MDP, q: Rewards, state: Any, action: Any, size: jax.Array, exists: Any) -> Bump:
    size = jnp.where(exists, size, jnp.nan)
    raised = jnp.where(exists, q.at[state, action].add(size), jnp.nan)
    reward = inverse_bellman(mdp, raised)
    before = inverse_bellman(mdp, q)
    best = jnp.max(q[state] if mdp.legal is None else jnp.where(mdp.legal[state], q[state], -jnp.inf))
    rise = jnp.maximum(q[state, action] + size - best, 0)
    arrival = jnp.zeros(mdp.num_states, mdp.dtype).at[state].set(1)
    into = mdp.discount * jnp.where(mdp.decisions, mdp.expect(arrival), 0) * rise
    own = jnp.abs(size - into[state, action])
    return Bump(
        reward=reward,
        q_values=raised,
        realised=norm_of(np.inf, mdp.decisions, reward - before),
        sharp=jnp.maximum(own, jnp.max(into.at[state, action].set(0))),
        paper=size * (1 + mdp.discount),
    )


def single(mdp: MDP, reward: Any, name: str) -> Rewards:
    """One reward, [S, A]."""
    found = cast(checks.array(reward, name), mdp.dtype)
    if found.shape != mdp.reward.shape:
        raise ValueError(f"{name} must have shape {list(mdp.reward.shape)}, not {list(found.shape)}")
    return found
