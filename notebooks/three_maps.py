# %% [markdown]
# # Three maps
#
# Where the policy of a gridworld jumps; what entropy buys and what it costs; and what becomes of several rewards that
# are trained on as one.

# %%
# %matplotlib inline
import jax
import jax.numpy as jnp
import numpy as np

import jaxcliff as jc

jax.config.update("jax_enable_x64", True)
key = jax.random.key(0)

# %% [markdown]
# ## A gridworld and its most brittle states
#
# Slippery moves, two goals, two pits. How near is the nearest cliff, and which states are near one?

# %%
field = ("....#...", "......#G", ".#......", ".#.P.#.#", "...#.P..", "G.#....S")
mdp = jc.problems.gridworld(field, slip=0.1, discount=0.95)
near = jc.nearest_cliff(mdp)
print(near.summary())
for margin in near.ranking(4):
    names = mdp.labels.state(margin.state), mdp.labels.action(margin.leaves, 0), mdp.labels.action(margin.enters, 0)
    print(f"{margin.margin:.5f}  {names[0]}: from {names[1]} to {names[2]}")

# %% [markdown]
# ## The phase diagram
#
# Two directions at once: the one towards the nearest cliff, and noise of the same size. Left every polygon is one
# policy, exactly; right, in how many states it differs from that of the base.

# %%
noise = np.where(mdp.decisions, jax.random.rademacher(key, mdp.reward.shape, float), 0)
ds = jc.studies.phase_diagram(mdp, None, near.direction, noise, extent=np.array([-1, 1, -1, 1]) * 12 * near.radius)
print(f"{ds.sizes['region']} policies, {ds.sizes['edge']} borders")
jc.figures.phase_diagram(ds, names=("the nearest cliff", "noise"))

# %% [markdown]
# ## How unusual is that?
#
# Two thousand rewards like this one. Near 0, the share that has a cliff within ε is proportional to ε.

# %%
others = jc.perturb.gaussian(key, mdp, sigma=0.1, count=2000).rewards
found = jc.census(mdp, others)
print(found.summary())
jc.figures.radius_distribution(found.to_dataset(), mark=float(near.radius))

# %% [markdown]
# ## What entropy buys, and what it costs
#
# With entropy the policy has a slope instead of a cliff. Left: how far it moves per unit of reward, measured and exact,
# under the bounds. Middle: the price. Right: how wide the cliff has become.

# %%
ds = jc.studies.temperature_curve(mdp, key=key, strength=np.geomspace(1e-3, 1, 13), count=64)
jc.figures.temperature_curve(ds)

# %% [markdown]
# The same on a map: the direction of the nearest cliff against the strength of entropy.

# %%
ts = np.linspace(-12, 12, 33) * float(near.radius)
ds = jc.studies.phase_scan(mdp, None, near.direction, ts, strength=np.geomspace(1e-3, 1, 25))
jc.figures.phase_scan(ds)

# %% [markdown]
# ## Many rewards
#
# Three reward models score four answers to thirty prompts. They mostly agree; where they do not, their weights decide.

# %%
quality, *biases = jax.random.normal(key, (4, 30, 4))
scores = jnp.stack([quality + 0.8 * bias for bias in biases])
prompts = jc.problems.contextual_bandit(scores.mean(0))
names = ("helpful", "honest", "harmless")
ds = jc.studies.phase_diagram(prompts, weights_of=scores)
print(f"{ds.sizes['region']} policies; from equal weights the nearest change is {ds.attrs['plane_radius']:.4f} away")
jc.figures.weight_triangle(ds, names=names)

# %% [markdown]
# With weights .6, .3 and .1: the smaller the weight of a model, the more it alone may be wrong. Right, what the policy
# of this mixture loses where another one counts: nothing up to the first cliff.

# %%
ds = jc.studies.aggregation_stability(prompts, scores, [0.6, 0.3, 0.1], key=key, count=128, names=names)
print(f"an error of {ds.attrs['joint_radius']:.4f} in all three flips an answer; in one alone:")
print(*(f"{name} {radius:.4f}" for name, radius in zip(names, ds.radius.values, strict=True)), sep=", ")
jc.figures.aggregation_stability(ds)
