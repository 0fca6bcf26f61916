"""A phase diagram: every polygon is one optimal policy"""

import jax

import jaxcliff as jc

mdp = jc.problems.garnet(jax.random.key(0), states=64, actions=4, branching=5, discount=0.95)
x, y = jax.random.normal(jax.random.key(2), (2, 64, 4))
ds = jc.studies.phase_diagram(mdp, None, x, y, extent=(-0.3, 0.3, -0.3, 0.3))
figure = jc.figures.phase_diagram(ds)
