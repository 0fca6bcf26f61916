"""How far rewards like this one are from their nearest cliffs"""

import jax

import jaxcliff as jc

mdp = jc.problems.garnet(jax.random.key(0), states=16, actions=3, branching=3, discount=0.9)
rewards = jc.perturb.gaussian(jax.random.key(1), mdp, sigma=0.5, count=2000).rewards
found = jc.census(mdp, rewards)
figure = jc.figures.radius_distribution(found.to_dataset(), mark=float(jc.nearest_cliff(mdp).radius))
