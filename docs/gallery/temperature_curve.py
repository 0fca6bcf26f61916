"""What entropy regularisation buys, and what it costs"""

import jax

import jaxcliff as jc

mdp = jc.problems.river_swim(8, discount=0.95)
ds = jc.studies.temperature_curve(mdp, key=jax.random.key(0), count=64)
figure = jc.figures.temperature_curve(ds)
