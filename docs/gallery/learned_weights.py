"""A gate that weighs two rewards and is learned with the policy: one answer up to ζ = 4α, and beyond it two."""

import jax

import jaxcliff as jc

jax.config.update("jax_enable_x64", True)
ds = jc.studies.learned_weights(key=jax.random.key(0))
figure = jc.figures.learned_weights(ds)
