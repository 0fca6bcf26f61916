"""Closed-form bounds and constants, each with its label: what figures overlay and tests assert.

Labels refer to "The Policy Cliff" (arXiv 2507.20150).
"""

from typing import Any

import jax.numpy as jnp


def safe_radius(gap: Any, steps: Any) -> Any:
    """g/(2L), which is g(1 − γ)/2: no reward nearer in the sup norm closes a gap of g (Theorem 2.7)."""
    return gap / (2 * steps)


def uniform_jump(ties: Any) -> Any:
    """(m − 1)/m: the jump of the uniform policy when one of m tied actions is preferred (Proposition 2.10)."""
    return (ties - 1) / ties


def soft_jump(distance: Any, strength: Any, steps: Any) -> Any:
    """tanh(‖ΔR‖·L/(2α)): no entropy- or KL-regularised policy moves farther in TV (Proposition 4.7, sharper).

    Attained on the fork. Never vacuous, unlike `soft_jump_linear`; does not hold for sparsemax.
    """
    return jnp.tanh(soft_jump_linear(distance, strength, steps))


def soft_jump_linear(distance: Any, strength: Any, steps: Any) -> Any:
    """‖ΔR‖·L/(2α), which is ‖ΔR‖/(2α(1 − γ)): the bound of Proposition 4.7."""
    return distance * steps / (2 * strength)


def entropy_cost(strength: Any, actions: Any, steps: Any) -> Any:
    """α·L·log K: what the entropy-regularised policy of K actions can lose in return, at most."""
    return strength * steps * jnp.log(actions)


def sparsemax_jump(distance: Any, strength: Any, actions: int) -> Any:
    """(2/(αK))⌊K/2⌋⌈K/2⌉‖ΔQ‖: how far the sparsemax of K actions can move in TV (about K‖ΔQ‖/(2α))."""
    return 2 * (actions // 2) * (actions - actions // 2) / (actions * strength) * distance


def chi_square(policy: Any, base: Any) -> Any:
    """χ²(π‖b) = Σ π²/b − 1 per state, over the actions of positive base mass."""
    inside = base > 0
    return jnp.sum(jnp.where(inside, policy**2 / jnp.where(inside, base, 1), 0), axis=-1) - 1


def regularizer_law(name: str, strength: Any, policy: Any = None, base: Any = None) -> Any:
    """How fast a policy can move in TV per unit of ‖ΔQ‖, per state: (1/2β) Σ b/f''(π/b).

    | name                     | law                 |
    |--------------------------|---------------------|
    | entropy, kl              | 1/(2β)              |
    | chi_square               | Σ_{π>0} b/(2β) ≤ 1/(2β) |
    | jensen_shannon           | (2 + χ²(π‖b))/(2β)  |
    | forward_kl               | (1 + χ²(π‖b))/(2β)  |
    """
    if name in ("entropy", "kl"):
        return 1 / (2 * strength)
    if name == "chi_square":
        return jnp.sum(jnp.where(policy > 0, base, 0), axis=-1) / (2 * strength)
    least = {"jensen_shannon": 2, "forward_kl": 1}
    if name not in least:
        raise ValueError(f"there is a law for entropy, kl, chi_square, {', '.join(least)}; not for {name!r}")
    return (least[name] + chi_square(policy, base)) / (2 * strength)


def gate_constant(sharpness: Any, gate_lipschitz: Any, span: Any) -> Any:
    """1 + ½·η·Lip(g)·span: how far R_eff can move per unit, under a gate w = softmax(η g) that looks at the rewards.

    Lip(g) bounds every score's change per unit of max_k ‖ΔR_k‖, span is max − min of the components. A hard gate is η
    → ∞.
    """
    return 1 + sharpness * gate_lipschitz * span / 2


def mixture_bound(weights: Any, other: Any, span: Any) -> Any:
    """½‖w − w'‖₁·span: how far R_eff can move with the weights of a mixture; span is the largest max_k − min_k R_k.

    Weights are [N], or [..., N, S] as in `jc.aggregate`; then the bound is per state, [..., S].
    """
    change = jnp.abs(jnp.asarray(weights) - jnp.asarray(other))
    return jnp.sum(change, axis=-2 if change.ndim > 1 else -1) * span / 2
