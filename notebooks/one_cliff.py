# %% [markdown]
# # One cliff
#
# A reward is trained on, a policy comes out. This notebook looks at the smallest problems in which a little more of the
# one makes the other jump: two arms, three arms, a fork.

# %%
# %matplotlib inline
import jax
import jax.numpy as jnp
import numpy as np

import jaxcliff as jc

jax.config.update("jax_enable_x64", True)

# %% [markdown]
# ## Two arms
#
# The first arm is better by .3. The nearest cliff is half of that away: both rewards may be wrong, in opposite
# directions. Up to there nothing happens at all; just beyond it the policy is another one.

# %%
arms = jc.problems.bandit([1.0, 0.7]).replace(labels=jc.Labels(actions=["left", "right"]))
near = jc.nearest_cliff(arms)
print(near.summary())
for factor in (0.999, 1.001):
    moved = arms.reward + factor * near.radius * near.direction
    best = jc.optimal_actions(jc.solve(arms, moved)).optimal
    print(f"{factor} of the way: reward {np.round(moved[0], 4)}, best:", *np.array(["left", "right"])[best[0]])

# %% [markdown]
# Exactly on the cliff both arms are optimal, and a policy has to be *selected*. How far it jumps when the tie is broken
# depends on the selection, and on nothing else: by 1 if it took the other arm, by (m − 1)/m if it was uniform over m.

# %%
tied = jc.problems.bandit([1.0, 1.0, 1.0, 0.0])
acts = jc.optimal_actions(jc.solve(tied))
for size in (1e-3, 1e-6, 1e-9):
    broken = jc.optimal_actions(jc.solve(tied, tied.reward.at[0, 2].add(size)))
    jump = jc.metrics.largest_total_variation(jc.policies.uniform(acts), jc.policies.uniform(broken))
    print(f"a bonus of {size:g} moves the uniform policy by {jump:.6f} (theory: {jc.theory.uniform_jump(3):.6f})")

# %% [markdown]
# ## Three arms on a plane
#
# Add x to the second arm and y to the third. Every colour is one policy, exactly; borders are cliffs; nothing switches
# inside the circle.

# %%
three = jc.problems.bandit([0.3, 0.0, 0.1])
x, y = np.eye(3)[1:, None]
ds = jc.studies.phase_diagram(three, None, x, y)
jc.figures.phase_diagram(ds, names=("the second arm", "the third arm"))

# %% [markdown]
# ## What entropy does to a tie
#
# Three peaks of equal height. The hard policy has its mass on the three best actions; the soft one is spread around
# them, and moves smoothly when one peak grows.

# %%
positions = np.arange(-200, 201) / 20
peaks = np.exp(-((positions[:, None] - np.array([-5, 0, 5])) ** 2) / (2 * 0.82**2))
landscape = jc.problems.bandit(jnp.asarray(2.55 * peaks.max(axis=1)))
ds = jc.studies.soft_against_hard(landscape, strength=[0.5, 0.1], positions=positions)
jc.figures.soft_against_hard(ds)

# %% [markdown]
# ## The fork: why small errors are enough
#
# One choice between two futures that last. An error of the same sign all along one future, and of the other sign along
# the other, adds up: the cliff is at gap·(1 − γ)/2, fifty times nearer at γ = .99 than at γ = .5.

# %%
for discount in (0.5, 0.9, 0.99, 0.999):
    fork = jc.problems.fork(discount=discount)
    print(f"γ = {discount}: gap 1, nearest cliff at {jc.nearest_cliff(fork).radius:.6f}")

# %% [markdown]
# Along a ray from the first future to the second the optimal return is continuous. The policy does nothing but jump,
# and so does what it earns under a reward that the training did not see.

# %%
fork = jc.problems.fork(discount=0.9)
towards, unseen = np.zeros((2, 3, 2))
towards[1:, 0] = -1, 1
unseen[1, 0] = 1
ds = jc.studies.ray(fork, None, towards, stop=0.1, true_reward=unseen)
print(f"first cliff at t = {ds.breakpoints.values[0]:.4f}; the return jumps by {ds.value_jump.values[0]:.9f},")
print(f"the true return by {ds.return_jump.values[0]:.2f}")
jc.figures.ray(ds)
