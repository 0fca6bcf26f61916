"""Closed-form bounds and constants, each with its label: what figures overlay and tests assert.

Labels refer to "The Policy Cliff" (arXiv 2507.20150).
"""

import math

import jax.numpy as jnp

from jaxcliff.core.types import Numbers

__all__ = [
    "best_of_jump",
    "best_of_kl",
    "chi_square",
    "entropy_cost",
    "gate_constant",
    "landing",
    "landing_time",
    "learned_contraction",
    "maximin_share",
    "mixture_bound",
    "regularizer_law",
    "safe_radius",
    "sample_deviation",
    "soft_jump",
    "soft_jump_linear",
    "sparsemax_jump",
    "uniform_jump",
]


def __dir__() -> list[str]:
    return list(__all__)


def safe_radius(gap: Numbers, steps: Numbers) -> Numbers:
    """g/(2L), which is g(1 − γ)/2: no reward nearer in the sup norm closes a gap of g (Theorem 2.7)."""
    return gap / (2 * steps)


def uniform_jump(ties: Numbers) -> Numbers:
    """(m − 1)/m: the jump of the uniform policy when one of m tied actions is preferred (Proposition 2.10)."""
    return (ties - 1) / ties


def soft_jump(size: Numbers, strength: Numbers, steps: Numbers) -> Numbers:
    """tanh(‖ΔR‖·L/(2α)): no entropy- or KL-regularised policy moves farther in TV (Proposition 4.7, sharper).

    Attained on the fork. Never vacuous, unlike `soft_jump_linear`; does not hold for sparsemax.
    """
    return jnp.tanh(soft_jump_linear(size, strength, steps))


def soft_jump_linear(size: Numbers, strength: Numbers, steps: Numbers) -> Numbers:
    """‖ΔR‖·L/(2α), which is ‖ΔR‖/(2α(1 − γ)): the bound of Proposition 4.7."""
    return size * steps / (2 * strength)


def entropy_cost(strength: Numbers, actions: Numbers, steps: Numbers) -> Numbers:
    """α·L·log K: what the entropy-regularised policy of K actions can lose in return, at most."""
    return strength * steps * jnp.log(actions)


def sparsemax_jump(size: Numbers, strength: Numbers, actions: int) -> Numbers:
    """(2/(αK))⌊K/2⌋⌈K/2⌉‖ΔQ‖: how far the sparsemax of K actions can move in TV (about K‖ΔQ‖/(2α))."""
    return 2 * (actions // 2) * (actions - actions // 2) / (actions * strength) * size


def chi_square(policy: Numbers, base: Numbers) -> Numbers:
    """χ²(π‖b) = Σ π²/b − 1 per state, over the actions of positive base mass."""
    inside = base > 0
    return jnp.sum(jnp.where(inside, policy**2 / jnp.where(inside, base, 1), 0), axis=-1) - 1


def regularizer_law(name: str, strength: Numbers, policy: Numbers = None, base: Numbers = None) -> Numbers:
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


def landing(limit: Numbers, drift: Numbers, diffusion: Numbers, start: Numbers = 0.0) -> Numbers:
    """P(z reaches +L before −L), for steps of a mean and a variance whose ratio θ/2 is the same everywhere.

    (e^{−θz₀} − e^{θL})/(e^{−θL} − e^{θL}), θ = 2·drift/diffusion; from z₀ = 0 it is logistic(θL), without drift
    (L + z₀)/(2L). A two-logit softmax that climbs the mean of groups of G under noise σ has θ = εG/(ησ²).
    """
    theta = 2 * drift / diffusion
    far = 2 * theta * limit  # P = (1 − e^{−θ(z₀ + L)})/(1 − e^{−2θL})
    level = jnp.abs(far) < 1e-6
    below, whole = -jnp.expm1(-theta * (start + limit)), -jnp.expm1(-far)
    return jnp.where(level, (limit + start) / (2 * limit), below / jnp.where(level, 1, whole))


def sample_deviation(noise: Numbers, count: int) -> Numbers:
    """σ√(2/(G − 1))·Γ(G/2)/Γ((G − 1)/2): the mean standard deviation of G normal numbers, divided by G − 1."""
    factor = math.exp(math.lgamma(count / 2) - math.lgamma((count - 1) / 2))
    return noise * math.sqrt(2 / (count - 1)) * factor


def landing_time(limit: Numbers, step: Numbers) -> Numbers:
    """(L²/2 + cosh L − 1)/s²: mean steps of a two-logit softmax from ½ to ±L without drift, in small steps.

    s is the standard deviation of a step at p = ½: ησ√(G − 1)/G for the mean of groups of G under noise σ.
    """
    return (limit**2 / 2 + jnp.cosh(limit) - 1) / step**2


def gate_constant(sharpness: Numbers, gate_lipschitz: Numbers, span: Numbers) -> Numbers:
    """1 + ½·η·Lip(g)·span: how far R_eff can move per unit, under a gate w = softmax(η g) that looks at the rewards.

    Lip(g) bounds every score's change per unit of max_k ‖ΔR_k‖, span is max − min of the components. A hard gate is η
    → ∞.
    """
    return 1 + sharpness * gate_lipschitz * span / 2


def learned_contraction(feedback: Numbers, strength: Numbers, span: Numbers, steps: Numbers) -> Numbers:
    """|ζ|·L³·span²/(16α): below 1, weights w = softmax(ζJ) learned with a soft policy have one fixed point.

    The gate moves by |ζ|/4 per unit of a difference of returns, those by E[(A_i − A_j)²]/α per unit of weight; span is
    the largest of R_i − R_j. For two arms with rewards (c, 0) and (0, c) it is ζc²/(4α): the fixed point is one up to
    there, and no farther.
    """
    return jnp.abs(feedback) * steps**3 * span**2 / (16 * strength)


def maximin_share(first: Numbers, second: Numbers) -> Numbers:
    """Δ₂/(Δ₁ + Δ₂): the share of the first of two arms that is best against the worse of two opposed rewards.

    The first reward prefers the first arm by Δ₁, the second one the second arm by Δ₂. It moves by at most 1/(Δ₁ + Δ₂)
    per unit of either gap, while the weights stand where the best single arm is at a tie.
    """
    return second / (first + second)


def mixture_bound(weights: Numbers, other: Numbers, span: Numbers) -> Numbers:
    """½‖w − w'‖₁·span: how far R_eff can move with the weights of a mixture; span is the largest max_k − min_k R_k.

    Weights are [N]; or, one or both, [..., N, S] or [..., N, 1], as in `jc.aggregate`: then the bound is per state.
    """
    one, two = jnp.asarray(weights), jnp.asarray(other)
    if one.ndim != two.ndim:
        one, two = (x[:, None] if x.ndim == 1 else x for x in (one, two))
    return jnp.sum(jnp.abs(one - two), axis=-2 if one.ndim > 1 else -1) * span / 2


def best_of_kl(count: Numbers) -> Numbers:
    """Log N − (N − 1)/N: the best of N answers is no farther in KL from what they were drawn from.

    Strictly nearer where there are finitely many answers and N ≥ 2.
    """
    return jnp.log(count) - (count - 1) / count


def best_of_jump(count: Numbers, share: Numbers, tied: Numbers, above: Numbers = 0.0) -> Numbers:
    """(1 − t)ᴺ − (1 − t − p)ᴺ − (p/q)[(1 − t)ᴺ − (1 − t − q)ᴺ]: how far best of N jumps where a tie is broken.

    Tied answers of mass q = `tied` are drawn, t = `above` is the mass of better ones, and one of mass p = `share` gets
    ahead of the rest. Positive for every N ≥ 2 where p < q. Of samples that tie, one is kept at random, or the first.
    """
    rest = 1 - above
    return rest**count - (rest - share) ** count - share / tied * (rest**count - (rest - tied) ** count)
