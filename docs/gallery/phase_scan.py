"""A direction of rewards against the strength of entropy: the cliff becomes a slope"""

import jax
import numpy as np

import jaxcliff as jc

mdp = jc.problems.garnet(jax.random.key(0), states=24, actions=3, branching=3, discount=0.9)
x = jax.random.normal(jax.random.key(2), mdp.reward.shape)
ds = jc.studies.phase_scan(mdp, None, x, np.linspace(-0.5, 0.5, 41), strength=np.geomspace(0.003, 1, 21))
figure = jc.figures.phase_scan(ds)
