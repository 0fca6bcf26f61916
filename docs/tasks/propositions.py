"""Propositions 2.10 and 4.7 on a thousand random problems each, solved as two stacks."""

import jax
import jax.numpy as jnp

import jaxcliff as jc

jax.config.update("jax_enable_x64", True)
COUNT, TIES = 1000, 3
ALPHA = 0.5


def jump(key):
    """How far the uniform policy moves when one of three tied actions is preferred by very little."""
    mdp, q = jc.problems.tie_planted(key, states=8, actions=4, branching=3, ties=TIES, tied_states=1)
    bump = jc.perturb.bump(mdp, q, 0, jnp.argmax(q[0]), 1e-6)
    before, after = (jc.policies.uniform(jc.optimal_actions(jc.solve(mdp, r), 1e-9)) for r in (mdp.reward, bump.reward))
    return jc.metrics.total_variation(after, before)[0]


def slope(key):
    """How far a soft policy moves, in units of what Proposition 4.7 allows."""
    problem_key, change_key = jax.random.split(key)
    mdp = jc.problems.garnet(problem_key, states=8, actions=4, branching=3, discount=0.9)
    change = 0.1 * jax.random.normal(change_key, mdp.reward.shape)
    both = jc.solve(mdp, jnp.stack([mdp.reward, mdp.reward + change]), regularizer=jc.Entropy(ALPHA)).policy
    bound = jc.theory.soft_jump_linear(jnp.abs(change).max(), ALPHA, mdp.steps)
    return jc.metrics.largest_total_variation(both[1], both[0]) / bound


jumps = jax.jit(jax.vmap(jump))(jax.random.split(jax.random.key(0), COUNT))
print(f"2.10: {COUNT} jumps, all {jc.theory.uniform_jump(TIES):.6f} up to {abs(jumps - 2 / 3).max():.1g}")
assert abs(jumps - jc.theory.uniform_jump(TIES)).max() < 1e-12
shares = jax.jit(jax.vmap(slope))(jax.random.split(jax.random.key(1), COUNT))
print(f"4.7: the bound holds in all {COUNT}; at most {shares.max():.3f} of it is used, {shares.mean():.3f} on average")
assert shares.max() <= 1
