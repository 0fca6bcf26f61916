"""What one reward model can do to the mixture of all"""

import jax

import jaxcliff as jc

rewards = jax.random.normal(jax.random.key(0), (3, 10, 3))
mdp = jc.problems.contextual_bandit(rewards.mean(0))
names = ("helpful", "honest", "harmless")
ds = jc.studies.aggregation_stability(mdp, rewards, [0.6, 0.3, 0.1], key=jax.random.key(1), count=64, names=names)
figure = jc.figures.aggregation_stability(ds)
