"""Where policies that are no tables jump, from base policies that favour either side."""

import jax

import jaxcliff as jc

jax.config.update("jax_enable_x64", True)
ds = jc.studies.base_models(key=jax.random.key(0))
figure = jc.figures.base_models(ds)
