"""How far soft policies move when their reward is perturbed, for two families of problems."""

import jax

import jaxcliff as jc

jax.config.update("jax_enable_x64", True)
keys = [jax.random.key(i) for i in range(4)]
garnets = [jc.problems.garnet(key, states=32, actions=3, branching=4, discount=0.9) for key in keys]
trees = [jc.problems.token_tree(key, vocabulary=3, depth=3) for key in keys]
families = {"Garnet": garnets, "token tree": trees}
ds = jc.studies.response(families, key=jax.random.key(0), kind="entropy", count=64)
figure = jc.figures.response(ds)
