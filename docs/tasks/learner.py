"""A learner of one's own beside the optimum: softmax policy gradient with too few steps."""

import jax
import jax.numpy as jnp

import jaxcliff as jc

jax.config.update("jax_enable_x64", True)


def gradient_ascent(mdp, rewards, key):
    """Policies [B, S, A] after 100 exact gradient steps on the return under each reward."""

    def learn(reward):
        def earned(logits):
            return jc.metrics.expected_return(mdp, jax.nn.softmax(logits), reward)

        def step(logits, _):
            return logits + 2.0 * jax.grad(earned)(logits), None

        return jax.nn.softmax(jax.lax.scan(step, jnp.zeros_like(reward), None, length=100)[0])

    return jax.jit(jax.vmap(learn))(rewards)


mdp = jc.problems.garnet(jax.random.key(0), states=8, actions=3, branching=3, discount=0.9)
ds = jc.studies.flip_frequency(mdp, key=jax.random.key(1), sizes=[0.01, 0.1, 1.0], count=64, learner=gradient_ascent)
for size, flips, tv, regret in zip(ds["size"], ds.any_flip, ds.learned_tv, ds.learned_regret, strict=True):
    print(f"errors up to {size:.2f}: {flips:.0%} flip the optimum, the learner moves {tv:.3f} and loses {regret:.3f}")
figure = jc.figures.flip_frequency(ds)
