"""Along one direction the return is continuous, and the policy does nothing but jump"""

import jax

import jaxcliff as jc

mdp = jc.problems.gridworld(discount=0.95)
direction = jax.random.normal(jax.random.key(1), mdp.reward.shape)
ds = jc.studies.ray(mdp, None, direction, stop=0.2)
figure = jc.figures.ray(ds)
