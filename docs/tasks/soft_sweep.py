"""A sweep over strengths of entropy and sizes of errors: how far the soft policy moves, as a labelled dataset."""

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

import jaxcliff as jc

jax.config.update("jax_enable_x64", True)
mdp = jc.problems.garnet(jax.random.key(0), states=32, actions=4, branching=4, discount=0.9)
strengths, sizes = np.geomspace(0.01, 10, 13), np.geomspace(0.01, 1, 5)
errors = jc.perturb.sphere(jax.random.key(1), mdp, jnp.zeros_like(mdp.reward), size=1.0, count=64).rewards
rewards = mdp.reward + sizes[:, None, None, None] * errors  # [size, draw, S, A]

moved = []
for strength in strengths:
    soft = jc.solve(mdp, regularizer=jc.Entropy(strength))
    others = jc.solve(mdp, rewards, regularizer=jc.Entropy(strength), init=soft.values)
    assert bool(others.ok.all())
    moved.append(jc.metrics.largest_total_variation(others.policy, soft.policy))
ds = xr.Dataset({"moved": (("strength", "size", "draw"), np.stack(moved))}, {"strength": strengths, "size": sizes})
bound = jc.theory.soft_jump(ds["size"].values, ds.strength.values[:, None], float(mdp.steps))
print(ds.moved.max("draw").to_pandas().round(3))
assert (ds.moved.max("draw").values <= bound + 1e-9).all()
