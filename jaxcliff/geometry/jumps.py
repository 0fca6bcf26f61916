"""How high a cliff is: the distance between the policies on its two sides, and what the jump does to a true reward.

The value of the reward itself does not jump at a cliff: there both policies are optimal. All harm, and all gain, is in
what the reward leaves out.
"""

from typing import Any

import jax
import numpy as np

from jaxcliff import policies
from jaxcliff.core import checks
from jaxcliff.core.devices import float64
from jaxcliff.geometry.cones import ENTRIES, Array
from jaxcliff.policies import ActionSets


def policies_of(acts: ActionSets, rule: Any = policies.uniform) -> Array:
    """What a selection rule makes of M action sets, [M, S, A].

    M is rounded up to a power of two: a rule of the user's may be compiled for every shape that it sees.
    """
    count = len(acts.threshold)
    extra = 2 ** (count - 1).bit_length() - count
    with float64():
        filled = jax.tree.map(lambda x: np.concatenate([x, np.repeat(x[:1], extra, axis=0)]), acts)
        return checks.selected(rule, filled)[:count]


def switches(before: Array, after: Array) -> list[tuple[int, list[int], list[int]]]:
    """What differs between two sets of optimal actions, [S, A]: (state, its actions before, and after)."""
    states = np.flatnonzero((before != after).any(axis=-1))
    return [(int(s), np.flatnonzero(before[s]).tolist(), np.flatnonzero(after[s]).tolist()) for s in states]


def earned(visits: Array, chosen: Array, reward: Array) -> Array:
    """The return of each policy under a clean reward, from its visits, [M]."""
    return np.einsum("ms,msa,sa->m", visits, chosen, reward, optimize=True)


def heights(
    visits: Array, chosen: Array, before: Array, after: Array, true_reward: Array | None = None
) -> dict[str, Array]:
    """Jumps from the policies `chosen[before]` to `chosen[after]`, with the visits of all of them.

    `tv` is the largest total variation over states; `visited_tv` its mean over the states that the policy before visits
    (discounted, from `initial`); `return_jump` the change of the return under a true reward, if there is one.
    """
    tv, visited = np.empty(len(before)), np.empty(len(before))
    size = max(1, ENTRIES // chosen[0].size)
    for i in range(0, len(before), size):
        own, other = before[i : i + size], after[i : i + size]
        distance = np.abs(chosen[own] - chosen[other]).sum(axis=-1) / 2
        share = visits[own] / visits[own].sum(axis=-1, keepdims=True)
        tv[i : i + size] = distance.max(axis=-1)
        visited[i : i + size] = (share * distance).sum(axis=-1)
    out = {"tv": tv, "visited_tv": visited}
    if true_reward is not None:
        true = earned(visits, chosen, true_reward)
        out |= {"true_return": true, "return_jump": true[after] - true[before]}
    return out
