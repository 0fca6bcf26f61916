"""A case study of the paper: where the optimum jumps, what smooths it, and what the chart shows"""

import jax

import jaxcliff as jc

jax.config.update("jax_enable_x64", True)
ds = jc.studies.case_study("obfuscation", key=jax.random.key(0))
figure = jc.figures.case_study(ds)
