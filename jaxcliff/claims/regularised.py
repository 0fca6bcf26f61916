"""The softmax itself, and other regularisers (Appendix C.2, and what continuity costs whoever it is bought from)."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from scipy.optimize import linprog

from jaxcliff import problems, theory
from jaxcliff.claims import instances as draw
from jaxcliff.claims.entropy import arms
from jaxcliff.claims.framework import U, size_of
from jaxcliff.claims.registry import Batch, Found, claim
from jaxcliff.model.mdp import MDP
from jaxcliff.operators.regularizers import FDivergence, Sparsemax
from jaxcliff.solvers.solve import solve

SECTION = "Softmax and others"


def _logits(rng: Any, count: int, half: bool = False) -> Batch:
    mdp = problems.contextual_bandit(np.zeros((1, draw.ACTIONS))).astype(np.float64)
    strength = 10 ** rng.uniform(-1, 1, size=count)
    x = rng.normal(size=(count, draw.ACTIONS)) * 3 * strength[:, None]
    if half:  # two groups of the same mass, which move apart
        x = np.tile(x[:, :2], (1, 2))
        signs = np.array([1.0, 1.0, -1.0, -1.0])
        step = 1e-4 * strength[:, None] * signs
        return Batch(mdp, {"x": x - step / 2, "y": x + step / 2, "strength": strength})
    y = x + rng.normal(size=x.shape) * 10 ** rng.uniform(-3, 1, size=(count, 1)) * strength[:, None]
    return Batch(mdp, {"x": x, "y": y, "strength": strength})


@claim(
    "C.2",
    "The softmax of x/α moves by at most ‖x − y‖∞/α in the 1-norm.",
    formula="‖softmax(x/α) − softmax(y/α)‖₁ ≤ ‖x − y‖∞/α",
    kind="tight",
    instances=_logits,
    equality=lambda rng, count: _logits(rng, count, True),
    attained=1e-8,
    told="attained where some set of actions has a mass of one half, and only there",
)
def softmax_is_lipschitz(mdp: MDP, x: Any, y: Any, strength: Any) -> Found:
    one, two = (scipy.special.softmax(z / strength[:, None], axis=-1) for z in (x, y))
    size = np.abs(x - y).max(-1) / strength
    return Found(np.abs(one - two).sum(-1), size, 32 * U * (1 + np.abs(x).max(-1) / strength))


def _halves(rng: Any, count: int) -> Batch:
    """Two groups of the same mass, one of which rises as the other falls, from one side of the middle to the other."""
    mdp, arrays = _logits(rng, count, True)
    middle = (arrays["x"] + arrays["y"]) / 2
    step = 10 ** rng.uniform(-1, 1, size=(count, 1)) * arrays["strength"][:, None] * np.array([1.0, 1.0, -1.0, -1.0])
    return Batch(mdp, {"x": middle - step / 2, "y": middle + step / 2, "strength": arrays["strength"]})


@claim(
    "C.2 sharp",
    "The softmax moves by at most 2·tanh(‖x − y‖∞/(2α)), whatever the size of the change.",
    formula="‖softmax(x/α) − softmax(y/α)‖₁ ≤ 2·tanh(‖x − y‖∞/(2α))",
    kind="tight",
    source="new",
    instances=_logits,
    equality=_halves,
    attained=1e-10,
)
def softmax_obeys_tanh(mdp: MDP, x: Any, y: Any, strength: Any) -> Found:
    found = softmax_is_lipschitz(mdp, x, y, strength)
    return found._replace(bound=2 * np.tanh(found.bound / 2))


def local_constant(policy: Any) -> Any:
    """Max over sets of actions of 4p(1 − p), p their mass."""
    k = policy.shape[-1]
    sets = (np.arange(2**k)[:, None] >> np.arange(k)) & 1
    mass = policy @ sets.T
    return (4 * mass * (1 - mass)).max(-1)


def _peaked(rng: Any, count: int) -> Batch:
    """An action takes .9 or more, so that no set of actions has half of the mass."""
    mdp, arrays = _logits(rng, count)
    rest = rng.dirichlet(np.ones(draw.ACTIONS - 1), size=count) * rng.uniform(0.001, 0.1, size=(count, 1))
    policy = np.concatenate([1 - rest.sum(-1, keepdims=True), rest], axis=-1)
    return Batch(mdp, {"x": np.log(policy) * arrays["strength"][:, None], "strength": arrays["strength"]})


@claim(
    "C.2 everywhere",
    "The constant 1/α of the softmax is tight at every x.",
    formula="1/α ≤ ∞→1 norm of the Jacobian at x",
    kind="refuted",
    instances=_peaked,
    told="at .99 for one action the constant is .04/α",
)
def softmax_is_not_everywhere_steep(mdp: MDP, x: Any, strength: Any) -> Found:
    return Found(np.ones(len(x)), local_constant(scipy.special.softmax(x / strength[:, None], axis=-1)), 64 * U)


@claim(
    "C.2 exact",
    "The local constant is (1/α)·max 4p(1 − p) over sets of actions, p their mass: the norm of the Jacobian.",
    formula="∞→1 norm of the Jacobian = (1/α) max_S 4p_S(1 − p_S)",
    kind="exact",
    source="corrected",
    instances=_logits,
)
def the_softmax_constant_is_local(mdp: MDP, x: Any, y: Any, strength: Any) -> Found:
    jacobian = jax.vmap(jax.jacfwd(lambda z, a: jax.nn.softmax(z / a)))(jnp.asarray(x), jnp.asarray(strength))
    corners = 2.0 * ((np.arange(2**draw.ACTIONS)[:, None] >> np.arange(draw.ACTIONS)) & 1) - 1
    norm = np.abs(np.einsum("bij,cj->bci", np.asarray(jacobian), corners)).sum(-1).max(-1) * strength
    policy = scipy.special.softmax(x / strength[:, None], axis=-1)
    return Found(norm, local_constant(policy), 256 * U * (1 + np.abs(x).max(-1) / strength))


def _around(rng: Any, count: int) -> Batch:
    """Arms, and a base."""
    mdp, arrays = arms(rng, count)
    base = rng.dirichlet(np.full(draw.ACTIONS, 2.0), size=(count, 1))
    strength = rng.uniform(0.5, 2, size=count)
    rewards = arrays["rewards"] / 4
    return Batch(mdp, {"rewards": rewards, "base": base, "strength": strength})


def _law(name: str) -> Any:
    def check(mdp: MDP, rewards: Any, base: Any, strength: Any) -> Found:
        policy, error = _diverging(mdp, rewards, base, strength, name)
        norm = _jacobians(name, rewards, base, strength)
        law = np.asarray(theory.regularizer_law(name, strength, jnp.asarray(policy[:, 0]), jnp.asarray(base[:, 0])))
        return Found(norm, law, error)

    return check


for _name, _said in (
    ("chi_square", "b({π > 0})/(2β)"),
    ("jensen_shannon", "(2 + χ²(π‖b))/(2β)"),
    ("forward_kl", "(1 + χ²(π‖b))/(2β)"),
):
    claim(
        f"4.7 law {_name}",
        f"With {_name.replace('_', ' ')} a policy moves per unit of Q by at most half of Σ b/f''(π/b) over β.",
        formula=f"local constant ≤ {_said}",
        kind="loose",
        source="new",
        instances=_around,
    )(_law(_name))


def _diverging(mdp: MDP, rewards: Any, base: Any, strength: Any, name: str) -> tuple[Any, Any]:
    """(the policy that a divergence gives, by how much its softness may be wrong)."""
    sol = solve(mdp, rewards, regularizer=FDivergence(strength[:, None], base, name))
    policy = np.asarray(sol.policy)
    steepest = 1 + (policy / base).max(axis=(1, 2))
    wrong = np.asarray(sol.gap_error).max(axis=-1) / strength + 16 * U
    return policy, 8 * steepest * wrong / strength


def _jacobians(name: str, rewards: Any, base: Any, strength: Any) -> Any:
    """∞→1 norms of dπ/dR over 2, of bandits, by all corners."""
    mdp = problems.contextual_bandit(np.zeros((1, draw.ACTIONS))).astype(np.float64)
    one = jax.jacfwd(lambda r, b, s: solve(mdp, r[None], regularizer=FDivergence(s, b[None], name)).policy[0])
    jacobian = jax.vmap(one)(jnp.asarray(rewards[:, 0]), jnp.asarray(base[:, 0]), jnp.asarray(strength))
    corners = 2.0 * ((np.arange(2**draw.ACTIONS)[:, None] >> np.arange(draw.ACTIONS)) & 1) - 1
    return np.abs(np.einsum("bij,cj->bci", np.asarray(jacobian), corners)).sum(-1).max(-1) / 2


@claim(
    "4.7 law exact",
    "The local constant of a divergence is its law times max 4p(1 − p) over sets of actions, p their part of it.",
    formula="local constant = ½W·max_S 4p_S(1 − p_S), W = Σ b/(β f''), p_S = W_S/W",
    kind="exact",
    source="new",
    instances=_around,
)
def the_local_constant_of_a_divergence(mdp: MDP, rewards: Any, base: Any, strength: Any) -> Found:
    policy, error = _diverging(mdp, rewards, base, strength, "jensen_shannon")
    u = policy[:, 0] / base[:, 0]
    softness = base[:, 0] * u * (u + 1) / strength[:, None]
    whole = softness.sum(-1)
    law = whole / 2 * local_constant(softness / whole[:, None])
    return Found(_jacobians("jensen_shannon", rewards, base, strength), law, error)


def _linear(rng: Any, count: int) -> Batch:
    mdp = problems.contextual_bandit(np.zeros((1, 2))).astype(np.float64)
    few = min(count, 16)
    return Batch(mdp, {"share": rng.uniform(0.1, 0.9, size=few), "strength": rng.uniform(0.1, 2, size=few)})


@claim(
    "4.7 law TV",
    "A regulariser without curvature buys no continuity: with total variation the cliff moves to where the gap is β.",
    formula="TV across gap = β is 1 − b(best)",
    kind="exact",
    source="new",
    instances=_linear,
)
def total_variation_moves_the_cliff(mdp: MDP, share: Any, strength: Any) -> Found:
    jumps = []
    for b, beta in zip(share, strength, strict=True):
        ends = []
        for gap in (beta * (1 - 1e-6), beta * (1 + 1e-6)):  # max gap·p − β·t, with t ≥ |p − b|
            cost, above = [-gap, beta], [[1.0, -1.0], [-1.0, -1.0]]
            ends.append(linprog(cost, above, [b, -b], bounds=[(0, 1), (0, None)]).x[0])
        jumps.append(ends[1] - ends[0])
    return Found(np.array(jumps), 1 - share, 1e-9)


def _sparse(rng: Any, count: int) -> Batch:
    mdp, arrays = arms(rng, count)
    changes = rng.normal(size=arrays["rewards"].shape) * 10 ** rng.uniform(-2, 0, size=(count, 1, 1))
    return Batch(mdp, arrays | {"changes": changes})


def _sparse_even(rng: Any, count: int) -> Batch:
    """All arms within the support, half of them up and half of them down."""
    mdp, arrays = arms(rng, count)
    signs = np.array([1.0, 1.0, -1.0, -1.0])[None, None]
    size = 0.2 * arrays["strength"][:, None, None] / draw.ACTIONS
    return Batch(mdp, arrays | {"rewards": -size / 2 * signs, "changes": size * signs})


@claim(
    "4.7 sparsemax",
    "Sparsemax has a constant of its own, about K/2 times that of entropy: its slope counts the actions.",
    formula="TV ≤ (2/(αK))⌊K/2⌋⌈K/2⌉‖ΔQ‖",
    kind="tight",
    source="new",
    instances=_sparse,
    equality=_sparse_even,
    attained=1e-9,
)
def sparsemax_has_its_own_constant(mdp: MDP, rewards: Any, changes: Any, strength: Any) -> Found:
    one, two = (
        np.asarray(solve(mdp, r, regularizer=Sparsemax(strength[:, None])).policy) for r in (rewards, rewards + changes)
    )
    bound = np.asarray(theory.sparsemax_jump(size_of(mdp, changes), strength, draw.ACTIONS))
    return Found(np.abs(two - one)[:, 0].sum(-1) / 2, bound, 256 * U * (1 + np.abs(rewards).max((1, 2)) / strength))


def _two_arms(rng: Any, count: int) -> Batch:
    mdp = problems.contextual_bandit(np.zeros((1, 2))).astype(np.float64)
    return Batch(mdp, {"strength": rng.uniform(0.1, 3, size=count), "map": rng.integers(2, size=count)})


def _clipped(rng: Any, count: int) -> Batch:
    mdp, arrays = _two_arms(rng, count)
    return Batch(mdp, arrays | {"map": np.ones(count, int)})


@claim(
    "4.7 frontier",
    "No policy map of two arms that moves by at most L per unit of reward loses less than 1/(8L) somewhere.",
    formula="1/(8L) ≤ worst regret",
    kind="tight",
    source="new",
    instances=_two_arms,
    equality=_clipped,
    attained=1e-12,
    told="attained by sparsemax; entropy pays 11 % more",
)
def smoothness_costs_an_eighth(mdp: MDP, strength: Any, **kinds: Any) -> Found:
    """Closed forms of both suprema: entropy has L = 1/(2α) and loses αW(1/e); sparsemax L = 1/α, α/8."""
    entropy = kinds["map"] == 0
    lipschitz = np.where(entropy, 1 / (2 * strength), 1 / strength)
    gaps = np.linspace(0, 8, 4001)[None] * strength[:, None]
    share = np.where(
        entropy[:, None],
        scipy.special.expit(-gaps / strength[:, None]),
        np.clip((1 - gaps / strength[:, None]) / 2, 0, None),
    )
    lost = (gaps * share).max(-1)
    return Found(1 / (8 * lipschitz), lost, 8 * U)
