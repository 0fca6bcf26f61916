"""A gate that learns which of two rewards counts where, from the returns of trajectories, and what policy follows."""

import jax
import jax.numpy as jnp
from flax import nnx

import jaxcliff as jc

jax.config.update("jax_enable_x64", True)
mdp = jc.problems.garnet(jax.random.key(0), states=12, actions=3, branching=3, discount=0.9)
rewards = jax.random.normal(jax.random.key(1), (2, 12, 3))
features = jnp.linspace(-1, 1, 12)[:, None]  # what the gate sees of a state
truth = jnp.concatenate([jax.nn.sigmoid(-6 * features), jax.nn.sigmoid(6 * features)], axis=1).T
wanted = jc.aggregate.linear(rewards, truth)

gate = jc.models.Gate(features=1, components=2, hidden=(8,), rngs=nnx.Rngs(0))


def loss(model):
    return jnp.mean((jc.aggregate.linear(rewards, model(features)) - wanted) ** 2)


losses = jc.models.fit(gate, loss, steps=300)
learned = jc.aggregate.linear(rewards, gate(features))
print(f"the loss falls from {losses[0]:.3g} to {losses[-1]:.3g}")

acts, true = (jc.optimal_actions(jc.solve(mdp, r)) for r in (learned, wanted))
flipped, undecided = jc.metrics.flips(true, acts)
print(f"states in which the learned gate changes the policy: {int(flipped.sum())}, undecided {int(undecided.sum())}")
print("nearest cliff under the learned gate:", jc.nearest_cliff(mdp, learned).summary())
assert losses[-1] < losses[0] / 10
