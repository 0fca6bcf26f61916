"""The decision problem: transitions, a reward, a discount, and what is legal, terminal and initial.

    Q(s, a) = R(s, a) + γ Σ_s' P(s'|s, a) max_a' Q(s', a')

A *terminal* state is declared, never inferred: it has one legal action, reward 0 and value 0. A state that
loops on itself is an ordinary state. *Illegal* actions never enter a maximum, a tie or a norm. Discount 0
without transitions is a (contextual) bandit: states are contexts. Discount 1 is allowed where every policy
terminates; then the horizon H takes the place of 1/(1 − γ).
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcliff.core import checks
from jaxcliff.core.labels import Labels, labelled
from jaxcliff.core.numerics import cast, namespace, placed, promoted, unit_roundoff
from jaxcliff.core.records import assign, in_hand, is_concrete, record
from jaxcliff.core.types import Expected, Values
from jaxcliff.model import horizon as _horizon
from jaxcliff.model.transitions import ROW_SUM_TOLERANCE, Dense, Successors, Tree, without_empty_rows


@record
class MDP:
    """A finite decision problem.

    Args:
        transitions: `Dense`, `Successors` or `Tree`; None for a bandit.
        reward: R(s, a), [S, A]. What it holds for an illegal action or in a terminal state is ignored.
        discount: γ in [0, 1]; 1 only where every policy terminates. A bandit has 0.
        initial: distribution of the first state, [S]; uniform over non-terminal states if not given.
        legal: boolean [S, A]; None if every action is.
        terminal: boolean [S]; None if no state is.
        labels: names of states and actions.

    All numbers are cast once to the promoted dtype of transitions, reward and discount; a Python number takes
    the reward's dtype. Everything is checked here, with a sentence that names the place; inside a JAX
    transformation, where there are no numbers to read, only shapes are.

        >>> import jaxcliff as jc
        >>> jc.MDP(None, [[1.0, 0.5]])
        MDP(2 actions, 1 state, no transitions, discount 0, float32)
    """

    transitions: Any
    reward: Any
    discount: Any = None
    initial: Any = None
    legal: Any = None
    terminal: Any = None
    horizon: Any = dataclasses.field(init=False, default=None)
    labels: Any = labelled()

    def __post_init__(self) -> None:
        _cast(self)
        _check_shapes(self)
        if is_concrete(self):
            _check_numbers(self)
        elif isinstance(self.transitions, Dense | Successors) and not is_concrete(self.transitions, self.legal):
            assign(self, transitions=without_empty_rows(self.transitions, self.decisions))
        _fill(self)

    @property
    def num_states(self) -> int:
        return self.reward.shape[0]

    @property
    def num_actions(self) -> int:
        return self.reward.shape[1]

    @property
    def dtype(self) -> Any:
        return self.reward.dtype

    @property
    def pinned(self) -> bool:
        """Whether an episode can end, which pins the value 0 somewhere: a constant in the reward matters."""
        return self.terminal is not None or isinstance(self.transitions, Tree)

    @property
    def steps(self) -> jax.Array:
        """L, the largest discounted number of steps: 1/(1 − γ) or the horizon; infinite where neither is known."""
        if not in_hand(self.discount, self.horizon):
            return _steps(self.discount, self.horizon)
        with np.errstate(divide="ignore"):
            return placed(_steps(np.asarray(self.discount), np.asarray(self.horizon)))

    @property
    def distributions(self) -> Any:
        """Whether every transition row is a distribution over states: what a builder refuses, a trace can only mark."""
        t = self.transitions
        if t is None:
            return True
        k = jnp.asarray(t.support).astype(self.dtype)
        defect = jnp.asarray(t.defect).astype(self.dtype)
        return defect <= ROW_SUM_TOLERANCE + 4 * k * unit_roundoff(self.dtype)

    @property
    def decisions(self) -> jax.Array:
        """Boolean [S, A]: legal actions of non-terminal states, the entries of a reward that count."""
        if in_hand(self.legal, self.terminal):
            return placed(_deciding(self.reward.shape, self.legal, self.terminal))
        mask = jnp.ones(self.reward.shape, bool) if self.legal is None else self.legal
        return mask if self.terminal is None else mask & ~self.terminal[:, None]

    def expect(self, values: Values) -> Expected:
        """E[values(s') | s, a]; a bandit has no next state and expects 0."""
        if self.transitions is None:
            return jnp.zeros((*values.shape, self.num_actions), values.dtype)
        return self.transitions.expect(values)

    def astype(self, dtype: Any) -> "MDP":
        """The same problem in another dtype (transition rows are divided by their sums again)."""
        if dtype == self.dtype:
            return self
        same = {name: cast(getattr(self, name), dtype) for name in ("reward", "discount", "initial")}
        moved = None if self.transitions is None else self.transitions.astype(dtype)
        new = dataclasses.replace(self, transitions=moved, **same)
        if not is_concrete(new):
            assign(new, horizon=self.horizon.astype(dtype))
        return new

    def replace(self, **changes: Any) -> "MDP":
        """The same problem with some fields changed, checked like a new one.

        What was filled in when the problem was built (the legal action of a terminal state, the initial distribution)
        stays as it is. Inside a transformation the horizon stays too, unless what it was computed from changes: then a
        discount of 1 is no longer known to be allowed, and solving reports it.
        """
        new = dataclasses.replace(self, **changes)
        if not is_concrete(new) and not {"transitions", "legal", "terminal"} & set(changes):
            assign(new, horizon=self.horizon.astype(new.dtype))
        return new

    def __repr__(self) -> str:
        kind = "no transitions" if self.transitions is None else type(self.transitions).__name__
        states = f"{self.num_states} state" + "s" * (self.num_states != 1)
        actions = f"{self.num_actions} action" + "s" * (self.num_actions != 1)
        discount = f"{float(self.discount):.6g}" if is_concrete(self.discount) else "traced"
        return f"MDP({actions}, {states}, {kind}, discount {discount}, {self.dtype})"


def _steps(discount: Any, horizon: Any) -> Any:
    xp = namespace(discount, horizon)
    geometric = 1 / xp.where(discount < 1, 1 - discount, 0)
    return xp.where((discount >= 0) & (discount <= 1), xp.minimum(geometric, horizon), xp.inf)


def _deciding(shape: tuple[int, ...], legal: Any, terminal: Any) -> np.ndarray:
    """The entries of a reward that count, [S, A], of masks that hold numbers."""
    mask = np.ones(shape, bool) if legal is None else np.asarray(legal)
    return mask if terminal is None else mask & ~np.asarray(terminal)[:, None]


def _cast(mdp: MDP) -> None:
    """Everything to the promoted dtype of transitions, reward and discount."""
    if not (mdp.transitions is None or isinstance(mdp.transitions, Dense | Successors | Tree)):
        raise TypeError(
            "transitions must be Dense, Successors, Tree or None, not "
            f"{type(mdp.transitions).__name__}: write MDP(transitions=jc.Dense(P), …)"
        )
    if mdp.discount is None and mdp.transitions is not None:
        raise ValueError("a problem with transitions needs a discount between 0 and 1")
    reward = checks.array(mdp.reward, "the reward")
    if not jnp.issubdtype(reward.dtype, jnp.floating):
        reward = cast(reward, jnp.result_type(float))
    discount = 0.0 if mdp.discount is None else mdp.discount
    given: dict[str, Any] = {name: getattr(mdp, name) for name in ("initial", "legal", "terminal")}
    given = {name: None if value is None else checks.array(value, name) for name, value in given.items()}
    dtype = promoted(reward.dtype)
    if mdp.transitions is not None and mdp.transitions.dtype is not None:
        dtype = promoted(dtype, mdp.transitions.dtype)
    if not isinstance(discount, int | float) or isinstance(discount, np.floating):
        dtype = promoted(dtype, checks.array(discount, "the discount").dtype)
    number = checks.numbers(discount, "the discount") if is_concrete(discount) else np.zeros(())
    if number.shape == () and number < 1 and number.astype(dtype) == 1:
        raise ValueError(f"the discount {discount} rounds to 1 in {dtype.name}; use float64 for so long a horizon")
    assign(
        mdp,
        transitions=None if mdp.transitions is None else mdp.transitions.astype(dtype),
        reward=cast(reward, dtype),
        discount=cast(discount, dtype),
        initial=None if mdp.initial is None else cast(given["initial"], dtype),
        legal=given["legal"],
        terminal=given["terminal"],
    )


def check_one(mdp: MDP) -> None:
    """What a function is asked about is one problem."""
    if mdp.reward.ndim != 2:
        raise ValueError("this is a stack of problems: map over it with jax.vmap, such as jax.vmap(jc.solve)(stack)")


def _check_shapes(mdp: MDP) -> None:
    if mdp.reward.ndim != 2:
        raise ValueError(f"the reward must have shape [S, A], not {list(mdp.reward.shape)}")
    states, actions = mdp.reward.shape
    if states == 0 or actions == 0:
        raise ValueError(f"there are {states} states and {actions} actions: a problem needs at least one each")
    t = mdp.transitions
    if t is not None and (t.num_states, t.num_actions) != (states, actions):
        raise ValueError(
            f"the transitions have {t.num_states} states and {t.num_actions} actions, "
            f"but the reward has shape [{states}, {actions}]"
        )
    if mdp.discount.shape != ():
        raise ValueError(
            f"the discount must be one number, not an array of shape {list(mdp.discount.shape)}; "
            "to sweep it, map over mdp.replace(discount=…)"
        )
    expected = {"initial": (states,), "legal": (states, actions), "terminal": (states,)}
    for name, shape in expected.items():
        value = getattr(mdp, name)
        if value is not None and value.shape != shape:
            raise ValueError(f"{name} must have shape {list(shape)}, not {list(value.shape)}")
    for name in ("legal", "terminal"):
        value = getattr(mdp, name)
        if value is not None and value.dtype != bool:
            raise ValueError(f"{name} must be boolean, not {value.dtype}")
    if not isinstance(mdp.labels, Labels):
        raise ValueError(f"labels must be jc.Labels(states, actions), not {checks.shown(mdp.labels)}")
    if misfit := mdp.labels.misfit(states, actions):
        raise ValueError(misfit)
    if mdp.terminal is not None and (t is None or isinstance(t, Tree)):
        kind = "a bandit" if t is None else "a tree"
        raise ValueError(f"{kind} has no terminal states: its episodes end by themselves")


def _check_numbers(mdp: MDP) -> None:
    """The invariants of a problem, on the host; fills in horizon, and drops masks that say nothing."""
    name = mdp.labels
    reward, discount = np.asarray(mdp.reward), float(mdp.discount)
    terminal = np.zeros(mdp.num_states, bool) if mdp.terminal is None else np.array(mdp.terminal)
    legal = np.ones(reward.shape, bool) if mdp.legal is None else np.array(mdp.legal)
    if not 0 <= discount <= 1:
        raise ValueError(f"the discount is {discount:g}; it must lie between 0 and 1")
    if mdp.transitions is None and discount != 0:
        raise ValueError(f"a problem without transitions is a bandit: its discount is 0, not {discount:g}")

    if terminal.all():
        raise ValueError("every state is terminal: there is nothing to decide")
    for s, a in np.argwhere(terminal[:, None] & legal & (reward != 0))[:1]:
        raise ValueError(
            f"{name.state(s)} is terminal and has reward {reward[s, a]:g}; a terminal state has reward 0: "
            "put the reward on the action that enters it"
        )
    if mdp.legal is None:
        legal[terminal, 1:] = False
    for s in np.flatnonzero(~legal.any(axis=1))[:1]:
        raise ValueError(f"{name.state(s)} has no legal action; every state needs one")
    for s in np.flatnonzero(terminal & (legal.sum(axis=1) != 1))[:1]:
        raise ValueError(
            f"{name.state(s)} is terminal and has {legal[s].sum()} legal actions; a terminal state has exactly one"
        )
    for s, a in np.argwhere(legal & ~np.isfinite(reward))[:1]:
        raise ValueError(
            f"the reward of {name.state(s)}, {name.action(a, s)} is {reward[s, a]}; it must be finite "
            "(if the action does not exist, mark it illegal)"
        )
    counts = legal & ~terminal[:, None]
    if isinstance(mdp.transitions, Dense | Successors):
        exists = (np.asarray(mdp.transitions.probabilities) != 0).any(-1)
        for s, a in np.argwhere(counts & ~exists)[:1]:
            raise ValueError(
                f"{name.state(s)}, {name.action(a, s)} is legal but has no transitions; "
                "mark it illegal or give it successors"
            )
    if mdp.initial is not None:
        start = np.asarray(mdp.initial)
        if not (np.isfinite(start).all() and (start >= 0).all() and abs(start.sum() - 1) <= 1e-5):
            raise ValueError(
                f"initial must be a distribution over states; its smallest entry is {start.min():g} "
                f"and it sums to {start.sum():g}"
            )
    steps = _steps_to_end(mdp, discount, counts, terminal)
    horizon = np.asarray(steps, mdp.dtype)
    if np.isfinite(steps) and not isinstance(mdp.transitions, Tree):
        horizon = np.nextafter(horizon, np.asarray(np.inf, mdp.dtype))
    assign(
        mdp,
        reward=mdp.reward if counts.all() else placed(np.where(counts, reward, np.zeros((), reward.dtype))),
        legal=None if legal.all() else placed(legal),
        terminal=placed(terminal) if terminal.any() else None,
        horizon=placed(horizon),
    )


def _steps_to_end(mdp: MDP, discount: float, legal: np.ndarray, terminal: np.ndarray) -> float:
    """H: the depth of a tree; at discount 1 the largest expected time to termination; else unused."""
    if isinstance(mdp.transitions, Tree):
        return float(mdp.transitions.depth)
    if discount < 1 or mdp.transitions is None:
        return np.inf
    rows = mdp.transitions.to_scipy()
    kept, stays = _horizon.end_component(rows, legal, terminal)
    if kept.any():
        s = int(np.flatnonzero(kept)[0])
        a = int(np.flatnonzero(stays[s])[0])
        raise ValueError(
            f"discount 1 needs every policy to terminate, but a policy can stay for ever in {kept.sum()} of the "
            f"{mdp.num_states} states, {mdp.labels.state(s)} with {mdp.labels.action(a, s)} among them; declare "
            "terminal states, forbid the action, or take a discount below 1"
        )
    steps = _horizon.expected_horizon(rows, legal, terminal)
    if not np.isfinite(steps):
        raise ValueError(
            "at discount 1 an episode of this problem can last longer than the arithmetic can resolve; "
            "take a discount below 1"
        )
    return steps


def _fill(mdp: MDP) -> None:
    """The defaults that are arrays."""
    if mdp.horizon is None:
        depth = mdp.transitions.depth if isinstance(mdp.transitions, Tree) else np.inf
        assign(mdp, horizon=cast(depth, mdp.dtype))
    if mdp.initial is None:
        known = is_concrete(mdp.terminal)
        free = np.ones(mdp.num_states, bool) if mdp.terminal is None else ~mdp.terminal
        free = np.asarray(free, mdp.dtype) if known else free.astype(mdp.dtype)
        assign(mdp, initial=placed(free / np.sum(free)) if known else free / jnp.sum(free))
