"""One reward model wrong: a mistake counts by its weight, and a change of a benchmark against a second run"""

import jax

import jaxcliff as jc

jax.config.update("jax_enable_x64", True)
ds = jc.studies.perturbed_models(key=jax.random.key(0))
figure = jc.figures.perturbed_models(ds)
