"""Where noisy learners land beside a tie, against the law of drift and diffusion."""

import jax

import jaxcliff as jc

jax.config.update("jax_enable_x64", True)
ds = jc.studies.learner_noise(key=jax.random.key(0), count=256)
figure = jc.figures.learner_noise(ds)
