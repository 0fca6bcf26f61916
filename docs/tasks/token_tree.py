"""A token tree with right and wrong outcomes: where its actions tie, and how far policies jump when a tie is broken."""

import jax

import jaxcliff as jc

jax.config.update("jax_enable_x64", True)
mdp = jc.problems.token_tree(jax.random.key(0), vocabulary=3, depth=4, correct=0.3)
acts = jc.optimal_actions(jc.solve(mdp))
tied = acts.optimal.sum(-1) > 1
print(acts.summary())
print("prefixes with ties:", *(mdp.labels.state(int(s)) for s in tied.nonzero()[0][:8]), "…")

root = acts.optimal[0].nonzero()[0]
print("tokens that tie at the start:", *(mdp.labels.action(int(a), 0) for a in root))
for action in root:
    bump = jc.perturb.bump(mdp, jc.solve(mdp).q_values, 0, int(action), 1e-6)
    moved = jc.optimal_actions(jc.solve(mdp, bump.reward))
    jump = jc.metrics.total_variation(jc.policies.uniform(moved), jc.policies.uniform(acts))[0]
    print(f"  {mdp.labels.action(int(action), 0)} raised by {float(bump.realised):.1g}: the policy moves {jump:.3f}")
    assert abs(jump - jc.theory.uniform_jump(len(root))) < 1e-9  # Proposition 2.10
