"""What a tilt by correctness leaves of obedience, and five cells of the paper's table that have less"""

import jax

import jaxcliff as jc

jax.config.update("jax_enable_x64", True)
ds = jc.studies.survival_floor(key=jax.random.key(0))
figure = jc.figures.survival_floor(ds)
