"""The distance of rewards by hand: how far two rewards are from each other, up to what no policy can see."""

import jax
import jax.numpy as jnp

import jaxcliff as jc

jax.config.update("jax_enable_x64", True)
mdp = jc.problems.garnet(jax.random.key(0), states=16, actions=3, branching=3, discount=0.9)


def canonical(reward):
    """The reward without potential shaping (the mean action keeps no value) and without scale."""
    uniform = jnp.full(mdp.reward.shape, 1 / 3)
    values = jc.evaluate(mdp, uniform, reward).values
    advantages = reward + mdp.discount * mdp.expect(values) - values[..., None]
    return advantages / jnp.linalg.norm(advantages, axis=(-2, -1), keepdims=True)


def distance(one, other):
    return jnp.linalg.norm(canonical(one) - canonical(other), axis=(-2, -1)) / 2


shaped = jc.perturb.shaping(mdp, potentials=jax.random.normal(jax.random.key(1), (16,))).rewards
assert distance(mdp.reward, 3 * shaped) < 1e-10  # the same to every policy
noisy = jc.perturb.gaussian(jax.random.key(2), mdp, sigma=0.3, count=200).rewards
before = jc.optimal_actions(jc.solve(mdp))
flips, _ = jc.metrics.flips(before, jc.optimal_actions(jc.solve(mdp, noisy)))
far = distance(noisy, mdp.reward)
states = flips.sum(-1)
print(f"distances from {far.min():.3f} to {far.max():.3f}, states flipped from {states.min()} to {states.max()}")
print(f"correlation of the two: {jnp.corrcoef(far, states)[0, 1]:.2f}")
