"""Where, and how often, errors of a reward flip the optimal policy"""

import jax

import jaxcliff as jc

mdp = jc.problems.gridworld(discount=0.95)
ds = jc.studies.flip_frequency(mdp, key=jax.random.key(0), count=1024)
figure = jc.figures.flip_frequency(ds)
