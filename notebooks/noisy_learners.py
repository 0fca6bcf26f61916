# %% [markdown]
# # Noisy learners
#
# Two answers whose rewards differ by .02, and scores with noise of standard deviation 1. The optimum knows the
# difference exactly. What do a thousand runs of each learner make of it?

# %%
# %matplotlib inline
import dataclasses

import jax
import matplotlib.pyplot as plt
import numpy as np

import jaxcliff as jc

jax.config.update("jax_enable_x64", True)
answers = jc.problems.bandit([0.02, 0.0]).replace(labels=jc.Labels(actions=["better", "worse"]))

# %% [markdown]
# ## What is optimal
#
# The better answer, always; and the nearest cliff is .01 away. Entropy of strength .1 makes a slope of it: nearly a
# coin.

# %%
print(jc.nearest_cliff(answers).summary())
for strength in (0.0, 0.01, 0.1):
    policy = jc.solve(answers, regularizer=jc.Entropy(strength)).policy
    print(f"entropy of strength {strength:g}: {float(policy[0, 0]):.3f} on the better answer")

# %% [markdown]
# ## What is learned
#
# Groups of eight answers, two thousand steps. REINFORCE with the group's mean (Dr. GRPO) and GRPO, which divides by the
# standard deviation, differ in speed and not in what they can tell apart. PPO takes four steps on the same samples.
# With KL in the reward each stays near a coin, as the optimum with KL does.

# %%
learners = {
    "group mean": jc.learners.dr_grpo(rate=0.4),
    "GRPO": jc.learners.grpo(rate=0.4),
    "PPO": jc.learners.ppo(rate=0.1),
    "group mean, KL in the reward": jc.learners.dr_grpo(rate=0.4, leash=jc.learners.leashes.in_reward(0.1)),
}
rewards = np.broadcast_to(answers.reward, (1000, 1, 2))
courses = {}
for name, learner in learners.items():
    noisy = dataclasses.replace(learner, noise=1.0, group=8, steps=2000)
    courses[name] = noisy.run(answers, rewards, jax.random.key(0), points=40)
    share = courses[name].policy[:, -1, 0, 0]
    better, worse = (float(x.mean()) for x in (share > 0.95, share < 0.05))
    print(f"{name}: {better:.1%} sure of the better answer, {worse:.1%} of the worse one")

# %%
figure, panels = plt.subplots(1, 4, figsize=(10, 2.4), sharey=True, layout="constrained")
for panel, (name, course) in zip(panels, courses.items(), strict=True):
    panel.hist(course.policy[:, -1, 0, 0], bins=np.linspace(0, 1, 21), color="#0072B2")
    panel.axvline(1, color="black", ls="--", lw=1)
    panel.set(title=name, xlabel="share of the better answer")
panels[0].set_ylabel("runs of 1,000")
plt.show()

# %% [markdown]
# ## On the way
#
# Entropy goes down whether a run is right or wrong: noise alone drives it to one end or the other.

# %%
figure, panel = plt.subplots(figsize=(5, 2.8), layout="constrained")
for name, course in courses.items():
    panel.plot(course.step, course.entropy.mean("reward"), label=name)
panel.set(xlabel="step", ylabel="entropy (nats)", ylim=(0, None))
panel.legend(fontsize=7)
plt.show()
for name, course in courses.items():
    size, dead = float(course.advantage.mean()), float(course.dead.mean())
    print(f"{name}: advantages of size {size:.2f}, {dead:.1%} dead groups")

# %% [markdown]
# ## The law
#
# Drift over diffusion is the same everywhere on the way, so where a learner lands is one logistic curve in
# L·ε·s·G/(ησ²).

# %%
ds = jc.studies.learner_noise(key=jax.random.key(1), learner=jc.learners.dr_grpo(), count=256)
jc.figures.learner_noise(ds)
