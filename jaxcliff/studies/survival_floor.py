"""Intelligence against obedience: how much of it a tilt by correctness leaves, and how much the paper's models have.

A policy ∝ b·exp(r/β), r = 1 if correct, multiplies every wrong answer by (1 − c₁)/(1 − c₀) and every correct one by
more: obedience keeps at least that share of itself. Cells of the table below it are not made by such a tilt of one
homogeneous pool of prompts.
"""

import jax
import numpy as np
import xarray as xr

from jaxcliff import problems
from jaxcliff.core import checks
from jaxcliff.core.numerics import placed
from jaxcliff.core.types import Dataset, Key, Whole
from jaxcliff.operators.regularizers import KL
from jaxcliff.scenarios import obedience
from jaxcliff.solvers.solve import solve

KINDS = ("hard", "soft")
TILTS = (0.2, 4.0)  # 1/β of the pools that are drawn


def survival_floor(*, key: Key, count: Whole = 400) -> Dataset:
    """The eight cells of the paper's table 1 against their floors, and random pools of answers that are tilted.

    Args:
        key: a JAX random key, of the pools.
        count: how many pools: each has four kinds of answers (correct or not, obedient or not) in random shares.

    Returns:
        A dataset over `model` and `obeys`: `ratio`, what is left of hard and soft obedience after training, whether it
        is `below` its `floor`, (1 − c₁)/(1 − c₀), and by how much, `missing`; over `pool` the same of tilted pools:
        `pool_floor`, `pool_ratio`.
    """
    key, count = checks.random_key(key), checks.whole(count, "count", 1)
    floor = np.array([row.floor for row in obedience.TABLE])
    ratio = np.array([row.ratios for row in obedience.TABLE])
    drawn, tilted = jax.random.split(key)
    base = np.asarray(jax.random.dirichlet(drawn, np.ones(4), (count,)), float)
    base = base / base.sum(axis=-1, keepdims=True)
    strength = 1 / np.asarray(jax.random.uniform(tilted, (count,), minval=TILTS[0], maxval=TILTS[1]), float)
    mdp = problems.contextual_bandit(np.tile([0.0, 0.0, 1.0, 1.0], (count, 1)))
    found = solve(mdp, regularizer=KL(placed(strength.astype(mdp.dtype)), placed(base.astype(mdp.dtype))))
    after = np.asarray(found.policy, float)
    correct, obeys = (lambda x: x[:, 2:].sum(axis=-1)), (lambda x: x[:, 1::2].sum(axis=-1))
    return xr.Dataset(
        {
            "floor": ("model", floor),
            "ratio": (("model", "obeys"), ratio),
            "below": (("model", "obeys"), ratio < floor[:, None]),
            "missing": (("model", "obeys"), np.maximum(floor[:, None] - ratio, 0)),
            "tilt": ("model", np.array([row.tilt for row in obedience.TABLE])),
            "pool_floor": ("pool", (1 - correct(after)) / (1 - correct(base))),
            "pool_ratio": ("pool", obeys(after) / obeys(base)),
        },
        {"model": np.array([row.model for row in obedience.TABLE], object), "obeys": np.array(KINDS, object)},
        {"study": "survival floor", "count": count},
    )
