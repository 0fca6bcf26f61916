"""The course of a training as a dataset: what the policies are worth on the way, and what became of the advantages."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from jaxcliff import metrics
from jaxcliff.core import checks
from jaxcliff.core.devices import float64
from jaxcliff.learners.advantages import truthful
from jaxcliff.learners.training import Course, advantages, base_log
from jaxcliff.model.mdp import MDP
from jaxcliff.solvers.evaluate import occupancy

MANY = 2_000_000  # entries of policies that are measured at a time


def as_dataset(
    learner: Any, mdp: MDP, rewards: np.ndarray, course: Course, at: np.ndarray, true_reward: Any
) -> xr.Dataset:
    """What `Learner.run` returns; the course has lane axes [..., P]."""
    policies = np.asarray(course.policies)
    lead = tuple(f"reward_{i}" for i in range(policies.ndim - 3)) if policies.ndim > 4 else ("reward",)
    lead = lead[: policies.ndim - 3]
    dims = (*lead, "step")
    total = rewards
    if learner.weights is not None:
        total = np.einsum("n,...nsa->...sa", np.asarray(learner.weights), rewards)
    flat = policies.reshape(-1, len(at), *mdp.reward.shape)
    found = _measured(learner, mdp, flat, np.broadcast_to(total, (*policies.shape[:-3], *mdp.reward.shape)))
    variables: dict[str, Any] = {"policy": ((*dims, "state", "action"), policies)}
    units = {"entropy": "nats", "kl": "nats", "return": "reward"}
    if true_reward is not None:
        true = checks.array(true_reward, "true reward")
        if true.shape != mdp.reward.shape:
            raise ValueError(f"true_reward has shape {list(true.shape)}, and the problem {list(mdp.reward.shape)}")
        there = np.broadcast_to(true, (len(flat), *mdp.reward.shape))
        found["true_return"] = _returns(mdp, flat, there)
        units["true_return"] = "reward"
    if course.counted is not None:
        found |= _of_groups(learner, course)
    for name, x in found.items():
        variables[name] = (dims, x.reshape(policies.shape[:-2]), {"units": units[name]} if name in units else {})
    coords = {"step": at} | mdp.labels.coordinates(*mdp.reward.shape)
    return xr.Dataset(variables, coords, {"study": "course of a learner", "gradient": learner.gradient})


def _measured(learner: Any, mdp: MDP, policies: np.ndarray, rewards: np.ndarray) -> dict[str, np.ndarray]:
    """Of policies [B, P, S, A]: entropy and KL to the base, over an episode, and the return of each lane's reward."""
    base = np.asarray(jnp.exp(base_log(learner, mdp)))
    entropy, kl = [], []
    for part in _parts(policies.reshape(-1, *mdp.reward.shape)):
        often = np.asarray(occupancy(mdp, part)).sum(axis=-1)
        entropy.append((often * np.asarray(metrics.entropy(part))).sum(axis=-1))
        kl.append((often * np.asarray(metrics.kl_divergence(part, base))).sum(axis=-1))
    lanes = rewards.reshape(-1, *mdp.reward.shape)
    return {"entropy": np.concatenate(entropy), "kl": np.concatenate(kl), "return": _returns(mdp, policies, lanes)}


def _returns(mdp: MDP, policies: np.ndarray, rewards: np.ndarray) -> np.ndarray:
    """Σ d(s, a)·R(s, a), [B·P], of policies [B, P, S, A] and rewards [B, S, A]."""
    earned = np.where(np.asarray(mdp.decisions), rewards, 0)
    found = []
    for start, part in enumerate(_parts(policies)):
        size = len(part)
        first = start * _size(policies)
        taken = np.asarray(occupancy(mdp, part))
        found.append((taken * earned[first : first + size, None]).sum(axis=(-2, -1)).reshape(-1))
    return np.concatenate(found)


def _size(x: np.ndarray) -> int:
    return max(MANY // max(int(np.prod(x.shape[1:])), 1), 1)


def _parts(x: np.ndarray) -> Any:
    """Along the first axis, so many at a time that memory holds them."""
    return (x[i : i + _size(x)] for i in range(0, len(x), _size(x)))


def _of_groups(learner: Any, course: Course) -> dict[str, np.ndarray]:
    """Shares of dead and nearly dead groups; advantages: their size, their spread, and how rounding moves them."""
    counted = course.counted
    count, dead, near, size, largest = (np.asarray(x, float) for x in counted)
    with np.errstate(invalid="ignore"):
        found = {"dead": dead / count, "near": near / count, "advantage": size / count}
    found["advantage_largest"] = np.where(count > 0, largest, np.nan)
    lanes = course.paid.ndim - 3
    paid, answers = jax.tree.map(lambda x: np.asarray(x).reshape(-1, *x.shape[lanes:]), (course.paid, course.answers))
    truth = dataclasses.replace(learner, advantage=truthful(learner.advantage))
    own = np.asarray(jax.jit(jax.vmap(functools.partial(advantages, learner)))(paid, answers), float)
    with float64():
        exact = np.asarray(jax.vmap(functools.partial(advantages, truth))(paid.astype(np.float64), answers))
    found["advantage_std"] = own.std(axis=(-2, -1))
    found["advantage_noise"] = np.abs(own - exact).max(axis=(-2, -1))
    return {name: x.reshape(-1) for name, x in found.items()}
