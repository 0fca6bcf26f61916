"""Leaving out one of five data sets: the mixture of all scores less than every one of them"""

import jax

import jaxcliff as jc

jax.config.update("jax_enable_x64", True)
ds = jc.studies.left_out()
figure = jc.figures.left_out(ds)
