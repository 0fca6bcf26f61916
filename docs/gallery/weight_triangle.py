"""Which answers win under which weights of three reward models"""

import jax
import jax.numpy as jnp

import jaxcliff as jc

quality, *biases = jax.random.normal(jax.random.key(0), (4, 12, 4))
scores = jnp.stack([quality + 0.8 * bias for bias in biases])
prompts = jc.problems.contextual_bandit(scores.mean(0))
ds = jc.studies.phase_diagram(prompts, weights_of=scores)
figure = jc.figures.weight_triangle(ds, names=("helpful", "honest", "harmless"))
