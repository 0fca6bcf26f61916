"""Problems on a line: a chain, the river swim, the gambler."""

from typing import Any

import numpy as np

from jaxcliff.core import checks, devices
from jaxcliff.core.labels import Labels
from jaxcliff.core.types import Number, Whole
from jaxcliff.model.mdp import MDP
from jaxcliff.model.transitions import Successors


def chain(states: Whole = 10, *, discount: Number = 0.9) -> MDP:
    """Step left or right, deterministically; staying at the right end pays 1 per step.

    Known: V(s) = γ^{n−1−s}/(1 − γ), going right everywhere, and the gap of going left at s is V(s) − γV(max(s − 1, 0)).
    """
    states = _sized(states, 2, 64)
    here = np.arange(states)
    nxt = np.stack([np.maximum(here - 1, 0), np.minimum(here + 1, states - 1)], axis=1)
    reward = np.zeros((states, 2))
    reward[-1, 1] = 1
    return MDP(Successors(nxt[..., None]), reward, discount, labels=Labels(actions=("left", "right"), name="chain"))


def river_swim(states: Whole = 6, *, discount: Number = 0.95) -> MDP:
    """Swim against the current for a reward of 1 upstream, or drift to a reward of 0.005 downstream.

    (Strehl and Littman 2008, scaled to a largest reward of 1.) Known: for γ near 1 swimming is optimal everywhere;
    mixing is slow, which is what it is for.
    """
    states = _sized(states, 3, 160)
    here = np.arange(states)
    nxt = np.stack([np.maximum(here - 1, 0), here, np.minimum(here + 1, states - 1)], axis=1)
    successors = np.broadcast_to(nxt[:, None], (states, 2, 3))
    p = np.zeros((states, 2, 3))
    p[:, 0, 0] = 1
    p[1:-1, 1] = (0.05, 0.6, 0.35)
    p[0, 1] = (0, 0.4, 0.6)
    p[-1, 1] = (0.4, 0.6, 0)
    reward = np.zeros((states, 2))
    reward[0, 0], reward[-1, 1] = 0.005, 1
    return MDP(Successors(successors, p), reward, discount, labels=Labels(actions=("drift", "swim"), name="river swim"))


def gambler(goal: Whole = 100, *, heads: Number = 0.4, discount: Number = 1.0) -> MDP:
    """Bet on coin flips until the capital is 0 or the goal; reaching the goal pays 1 (Sutton and Barto).

    State: the capital; action a: bet a + 1, at most what is held or missing. Both ends are terminal. Known, at
    discount 1 with heads < ½: V is the probability of winning by bold play, V(½·goal) = heads, and ties abound (with
    goal 100: two optimal bets at 51, three at 64); the longest expected game has 442 flips.
    """
    goal = checks.whole(goal, "the goal", 2)
    devices.require(24.0 * goal * (goal // 2), f"a game up to {goal:,}", "take a smaller goal")
    if not 0 < checks.number(heads, "heads") < 1:
        raise ValueError(f"heads must be a probability strictly between 0 and 1, not {heads:g}")
    capital, bet = np.arange(goal + 1), np.arange(1, goal // 2 + 1)
    legal = bet <= np.minimum(capital, goal - capital)[:, None]
    terminal = (capital == 0) | (capital == goal)
    legal[terminal, 0] = True
    move = np.where(legal & ~terminal[:, None], bet, 0)
    nxt = np.stack([capital[:, None] + move, capital[:, None] - move], axis=-1)
    p = np.broadcast_to(np.array([heads, 1 - heads]), nxt.shape)
    reward = np.where((nxt[..., 0] == goal) & ~terminal[:, None], heads, 0.0)
    labels = Labels(tuple(f"capital {c}" for c in capital), tuple(f"bet {b}" for b in bet), name="gambler")
    return MDP(Successors(nxt, p), reward, discount, legal=legal, terminal=terminal, labels=labels)


def _sized(states: Any, least: int, bytes_each: int) -> int:
    """A number of states that fit into memory."""
    states = checks.whole(states, "states", least)
    devices.require(float(bytes_each) * states, f"{states:,} states", "take fewer")
    return states
