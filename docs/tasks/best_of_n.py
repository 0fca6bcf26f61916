"""Best of N: what drawing N answers from a base policy and keeping the best does to a bandit of answers."""

import jax

import jaxcliff as jc

jax.config.update("jax_enable_x64", True)
scores = jax.random.normal(jax.random.key(0), (20, 6))  # 20 prompts, 6 answers
mdp = jc.problems.contextual_bandit(scores)
base = jax.nn.softmax(jax.random.normal(jax.random.key(1), (20, 6)))
noisy = jc.perturb.gaussian(jax.random.key(2), mdp, sigma=0.1, count=256).rewards
for n in (1, 4, 16, 256):
    policy, moved = (jc.policies.best_of(mdp, rewards, base, n) for rewards in (scores, noisy))
    tv = jc.metrics.largest_total_variation(moved, policy).mean()
    price = jc.metrics.kl_divergence(policy, base).mean()
    earned = jc.metrics.expected_return(mdp, policy)
    print(f"n = {n:3d}: return {earned:.3f}, {price:.3f} nats from the base; noise of .1 moves it by {tv:.3f}")
limit = jc.policies.uniform(jc.optimal_actions(jc.solve(mdp)))
assert jc.metrics.largest_total_variation(jc.policies.best_of(mdp, scores, base, 10**6), limit) < 1e-3
