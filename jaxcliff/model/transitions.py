"""Transition models: where an action leads, stored once and shared by a whole batch of rewards.

Every model answers four questions about P(s' | s, a), for values with any leading lane axes:

- `expect(values)`: E[values(s')] after each (s, a), the half of a Bellman backup that costs time;
- `by_action()` and `after(rows, values)`: the same for one action, with the lanes in the *last* axis, [S, B]. A sweep
  that goes from action to action in this layout reads memory in order and never holds a table of all actions: on a CPU
  it is five to fifty times faster than `expect` where rows are short;
- `under(policy)`: the state-to-state matrix P_π(s, s') = Σ_a π(a|s) P(s'|s, a);
- `to_scipy()`: the rows (s, a) as a sparse matrix on the host, for checks and graph questions.

The probabilities that count are the stored floats *divided by the exact sum of their row*, so that a
constant passes through. `support` (most non-zeros in a row) and `defect` (largest |row sum − 1|) enter the
certified rounding bound of every solution. A row of exact zeros says that the action does not exist there.
"""

import copy
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcliff.core import checks
from jaxcliff.core.numerics import cast, contract, placed, row_defects, unit_roundoff
from jaxcliff.core.records import assign, is_concrete, record, static
from jaxcliff.core.types import Expected, Policies, Values

ROW_SUM_TOLERANCE = 1e-5
MOST_LEVELS = 10_000  # of a tree
UNROLLED = 16  # successors summed in one expression; longer rows are summed in a loop over so many at a time


@record
class Dense:
    """P(s'|s, a) as one array [S, A, S]; a batched backup is one matrix product."""

    probabilities: Any
    defect: Any = None
    support: Any = None

    def __post_init__(self) -> None:
        p = _as_float_array(self.probabilities)
        if p.ndim != 3 or p.shape[0] != p.shape[2]:
            raise ValueError(f"Dense takes probabilities of shape [S, A, S], not {list(p.shape)}")
        _check_sizes(*p.shape[:2])
        _install_rows(self, p)

    @property
    def num_states(self) -> int:
        return self.probabilities.shape[0]

    @property
    def num_actions(self) -> int:
        return self.probabilities.shape[1]

    @property
    def dtype(self) -> Any:
        return self.probabilities.dtype

    def astype(self, dtype: Any) -> "Dense":
        return self if dtype == self.dtype else Dense(cast(self.probabilities, dtype))

    def expect(self, values: Values) -> Expected:
        """Σ_s' P(s'|s, a) values(s')."""
        return contract("...t,sat->...sa", values, self.probabilities)

    def by_action(self) -> jax.Array:
        """The matrices P_a, [A, S, S]."""
        return jnp.moveaxis(self.probabilities, 1, 0)

    def after(self, rows: jax.Array, values: jax.Array) -> jax.Array:
        """E[values(s') | s, a] for the action of these rows, [S, B] like the values."""
        return contract("st,tb->sb", rows, values)

    def under(self, policy: Policies) -> jax.Array:
        """P_π, [..., S, S]."""
        return contract("...sa,sat->...st", policy, self.probabilities)

    def to_scipy(self) -> Any:
        """The rows (s, a) as a CSR matrix [S·A, S]."""
        from scipy.sparse import csr_array

        return csr_array(np.asarray(self.probabilities).reshape(-1, self.num_states))


@record
class Successors:
    """At most K successors of each pair: `states` and `probabilities`, both [S, A, K].

    K = 1 without probabilities is a deterministic problem. A successor may be listed twice; its
    probabilities add. Padding has probability 0.
    """

    states: Any
    probabilities: Any = None
    defect: Any = None
    support: Any = None

    def __post_init__(self) -> None:
        states = checks.array(self.states, "states of Successors")
        if states.ndim != 3:
            raise ValueError(f"Successors takes states of shape [S, A, K], not {list(states.shape)}")
        if not jnp.issubdtype(states.dtype, jnp.integer):
            raise ValueError(f"Successors takes integer states, not {states.dtype}")
        _check_sizes(*states.shape[:2])
        if self.probabilities is None:
            if states.shape[2] != 1:
                raise ValueError(f"Successors needs probabilities when K = {states.shape[2]} > 1")
            p = placed(np.ones(states.shape))
        else:
            p = _as_float_array(self.probabilities)
        if p.shape != states.shape:
            raise ValueError(
                f"Successors takes states and probabilities of one shape, not {list(states.shape)} and {list(p.shape)}"
            )
        if is_concrete(states):
            host = np.asarray(states)
            bad = np.argwhere((host < 0) | (host >= host.shape[0]))
            if len(bad):
                s, a, k = bad[0]
                raise ValueError(
                    f"successor {k} of state {s}, action {a} is state {host[s, a, k]}; "
                    f"there are states 0 to {host.shape[0] - 1}"
                )
        assign(self, states=cast(states, jnp.int32))
        traced = not is_concrete(states)
        _install_rows(self, p, jnp.all((states >= 0) & (states < states.shape[0])) if traced else True)

    @property
    def num_states(self) -> int:
        return self.states.shape[0]

    @property
    def num_actions(self) -> int:
        return self.states.shape[1]

    @property
    def dtype(self) -> Any:
        return self.probabilities.dtype

    def astype(self, dtype: Any) -> "Successors":
        return self if dtype == self.dtype else Successors(self.states, cast(self.probabilities, dtype))

    @jax.jit
    def expect(self, values: Values) -> Expected:
        """Σ_k probabilities[s, a, k] values(states[s, a, k])."""
        lanes = values.reshape(-1, self.num_states).T
        each = jax.lax.map(lambda rows: self.after(rows, lanes), self.by_action())
        return jnp.transpose(each, (2, 1, 0)).reshape(*values.shape, self.num_actions)

    def by_action(self) -> tuple[jax.Array, jax.Array]:
        """States and probabilities, [A, K, S] each; in memory too, which a transpose alone does not promise."""
        return jax.lax.map(
            lambda a: (self.states[:, a].T, self.probabilities[:, a].T), jnp.arange(self.num_actions, dtype=jnp.int32)
        )

    def after(self, rows: tuple[jax.Array, jax.Array], values: jax.Array) -> jax.Array:
        """E[values(s') | s, a] for the action of these rows, [S, B] like the values."""

        def term(states: jax.Array, probabilities: jax.Array) -> jax.Array:
            return probabilities[:, None] * values[states]

        def add(total: jax.Array, some: tuple[jax.Array, jax.Array]) -> jax.Array:
            for k in range(len(some[0])):
                total = total + term(some[0][k], some[1][k])
            return total

        short = (self.states.shape[-1] - 1) % UNROLLED + 1
        total = add(term(rows[0][0], rows[1][0]), (rows[0][1:short], rows[1][1:short]))
        if short == self.states.shape[-1]:
            return total
        states, probabilities = (x[short:].reshape(-1, UNROLLED, self.num_states) for x in rows)
        return jax.lax.scan(lambda total, some: (add(total, some), None), total, (states, probabilities))[0]

    def under(self, policy: Policies) -> jax.Array:
        """P_π, [..., S, S]."""
        s, a, k = self.states.shape
        weights = (policy[..., None] * self.probabilities).reshape(*policy.shape[:-2], s, a * k)
        rows = jnp.arange(s)[:, None]
        zeros = jnp.zeros((*policy.shape[:-2], s, s), weights.dtype)
        return zeros.at[..., rows, self.states.reshape(s, a * k)].add(weights)

    def to_scipy(self) -> Any:
        """The rows (s, a) as a CSR matrix [S·A, S]."""
        from scipy.sparse import csr_array

        s, a, k = self.states.shape
        shape = (s * a, s)
        pointers = np.arange(0, s * a * k + 1, k)
        matrix = csr_array((np.array(self.probabilities).ravel(), np.array(self.states).ravel(), pointers), shape=shape)
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        return matrix


@record
class Tree:
    """The complete token tree: each of `depth` actions appends one of `vocabulary` tokens.

    A state is a prefix that is still open; states are numbered level by level, so that the children of
    state j are vocabulary·j + 1 … vocabulary·j + vocabulary and nothing is stored. The last action, and the
    end token (one more action, if there is one), end the episode; what follows is worth 0.
    """

    vocabulary: Any = static()
    depth: Any = static()
    end_token: Any = static(default=False)

    def __post_init__(self) -> None:
        for name in ("vocabulary", "depth"):
            value = getattr(self, name)
            assign(self, **{name: checks.whole(value, f"the {name} of a Tree", 1)})
        if self.depth > MOST_LEVELS or self.depth * np.log2(float(self.vocabulary)) > 62:
            raise ValueError(f"a Tree of {self.vocabulary} tokens and depth {self.depth} is larger than can be walked")
        assign(self, end_token=checks.flag(self.end_token, "end_token"))

    @property
    def level_sizes(self) -> tuple[int, ...]:
        return tuple(self.vocabulary**t for t in range(self.depth))

    @property
    def level_starts(self) -> tuple[int, ...]:
        """First state of every level, and the number of states."""
        return tuple(int(n) for n in np.cumsum([0, *self.level_sizes]))

    @property
    def num_states(self) -> int:
        return sum(self.level_sizes)

    @property
    def num_actions(self) -> int:
        return self.vocabulary + self.end_token

    @property
    def dtype(self) -> Any:
        return None

    @property
    def defect(self) -> float:
        return 0.0

    @property
    def support(self) -> int:
        return 1

    def astype(self, dtype: Any) -> "Tree":
        return self

    def children(self, values: Values) -> jax.Array:
        """Values of the children of every state above the last level, [..., parents, vocabulary]."""
        parents = self.level_starts[-2]
        return values[..., 1:].reshape(*values.shape[:-1], parents, self.vocabulary)

    def expect(self, values: Values) -> Expected:
        """The value of the child that each token leads to; 0 where the episode ends."""
        lead = values.ndim - 1
        missing = self.num_states - self.level_starts[-2]
        return jnp.pad(self.children(values), [(0, 0)] * lead + [(0, missing), (0, int(self.end_token))])

    def by_action(self) -> jax.Array:
        """The actions by number, [A]."""
        return jnp.arange(self.num_actions)

    def after(self, rows: jax.Array, values: jax.Array) -> jax.Array:
        """The value of the child that this token leads to, [S, B] like the values; 0 where the episode ends."""
        parents = self.level_starts[-2]
        children = values[1:].reshape(parents, self.vocabulary, -1)
        children = jnp.pad(children, [(0, self.num_states - parents), (0, int(self.end_token)), (0, 0)])
        return children[:, rows]

    def under(self, policy: Policies) -> jax.Array:
        """P_π, [..., S, S]."""
        parents = self.level_starts[-2]
        rows = jnp.arange(parents)[:, None]
        columns = self.vocabulary * rows + 1 + jnp.arange(self.vocabulary)
        n = self.num_states
        zeros = jnp.zeros((*policy.shape[:-2], n, n), policy.dtype)
        return zeros.at[..., rows, columns].set(policy[..., :parents, : self.vocabulary])

    def to_scipy(self) -> Any:
        """The rows (s, a) as a CSR matrix [S·A, S]; the row of an action that ends the episode is empty."""
        from scipy.sparse import csr_array

        parents = np.arange(self.level_starts[-2])[:, None]
        token = np.arange(self.vocabulary)
        rows = (parents * self.num_actions + token).ravel()
        columns = (self.vocabulary * parents + 1 + token).ravel()
        shape = (self.num_states * self.num_actions, self.num_states)
        return csr_array((np.ones(len(rows)), (rows, columns)), shape=shape)


def without_empty_rows(transitions: Any, counts: jax.Array) -> Any:
    """Transitions traced by JAX, with an infinite defect if a row that counts, [S, A], is empty."""
    empty = jnp.any(counts & ~jnp.any(transitions.probabilities != 0, axis=-1))
    marked = copy.copy(transitions)
    assign(marked, defect=jnp.where(empty, jnp.inf, transitions.defect))
    return marked


def _as_float_array(value: Any) -> jax.Array:
    array = checks.array(value, "probabilities")
    return array if jnp.issubdtype(array.dtype, jnp.floating) else cast(array, jnp.result_type(float))


def _check_sizes(states: int, actions: int) -> None:
    if states == 0:
        raise ValueError("there are no states: a problem needs at least one")
    if actions == 0:
        raise ValueError("there are no actions: a problem needs at least one")


def _install_rows(self: Any, p: jax.Array, inside: Any = True) -> None:
    """Checks the rows, divides them by their sums, records support and defect; `inside`: they lead to states only."""
    if is_concrete(p, inside):
        rows = _checked_rows(np.asarray(p))
        exists = (rows != 0).any(-1)
        defect = np.where(exists, row_defects(rows), 0.0).max().astype(rows.dtype)
        defect = np.nextafter(defect, np.asarray(np.inf, rows.dtype))
        support = np.int32((rows != 0).sum(-1).max())
        assign(self, probabilities=placed(rows), defect=placed(defect), support=placed(support))
        return
    # Inside a transformation nothing can be refused, nor a sum be exact: the defect is measured, with its rounding; it
    # is infinite where a row is no distribution, and solving says so.
    count = jnp.sum(p != 0, axis=-1).astype(p.dtype)
    total = jnp.sum(p, axis=-1, keepdims=True)
    p = p / jnp.where(jnp.abs(total - 1) <= ROW_SUM_TOLERANCE, total, 1)
    rounding = 2 * unit_roundoff(p.dtype) * count
    drift = jnp.where(count > 0, jnp.abs(jnp.sum(p, axis=-1) - 1) + rounding, 0).max()
    sound = jnp.all(p >= 0) & (drift <= ROW_SUM_TOLERANCE + jnp.max(2 * rounding)) & inside
    drift = jax.lax.stop_gradient(jnp.where(sound, drift, jnp.inf))
    assign(self, probabilities=p, defect=drift, support=count.max().astype(jnp.int32))


def _checked_rows(p: np.ndarray) -> np.ndarray:
    """Every row divided by its sum; a row that is no distribution is refused by name."""
    for s, a, t in np.argwhere(~np.isfinite(p))[:1]:
        raise ValueError(f"probability {t} of state {s}, action {a} is {p[s, a, t]}; it must be finite")
    for s, a, t in np.argwhere(p < 0)[:1]:
        raise ValueError(f"probability {t} of state {s}, action {a} is {p[s, a, t]}; it is negative")
    sums = p.sum(-1, dtype=np.float64)
    exists = (p != 0).any(-1)
    for s, a in np.argwhere(exists & (np.abs(sums - 1) > ROW_SUM_TOLERANCE))[:1]:
        raise ValueError(
            f"the transition row of state {s}, action {a} sums to {sums[s, a]:.6g}; a row must sum to 1 "
            f"within {ROW_SUM_TOLERANCE:g} (a row of zeros says that the action does not exist)"
        )
    # What a division left within its own rounding of 1 stays as it is: building, saving and loading change no bits.
    settled = np.abs(sums - 1) <= 1.5 * unit_roundoff(p.dtype) + (p != 0).sum(-1) * 2.0**-53
    return (p / np.where(exists & ~settled, sums, 1.0)[..., None]).astype(p.dtype)
