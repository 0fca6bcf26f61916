"""Pressure on the chain of thought: no tilt of a single context can hide the cheating as the chart has it"""

import jax

import jaxcliff as jc

jax.config.update("jax_enable_x64", True)
ds = jc.studies.irrelevant_alternatives()
figure = jc.figures.irrelevant_alternatives(ds)
