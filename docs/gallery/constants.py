"""Seven learners on pairs of rewards, against the bound that regularised optima keep."""

import jax

import jaxcliff as jc

jax.config.update("jax_enable_x64", True)
keys = [jax.random.key(i) for i in range(3)]
bandits = [jc.problems.bandit(jax.random.uniform(key, (3,))) for key in keys]
trees = [jc.problems.token_tree(key, vocabulary=3, depth=2) for key in keys]
ds = jc.studies.constants({"bandit": bandits, "token tree": trees}, key=jax.random.key(0), count=4)
figure = jc.figures.constants(ds)
