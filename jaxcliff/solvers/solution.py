"""What a solve returns: values, how wrong they can be, and how every lane ended."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcliff.core import checks, datasets
from jaxcliff.core.numerics import namespace, one_program, promoted, unit_roundoff
from jaxcliff.core.records import by_hand, is_concrete, record, static
from jaxcliff.core.types import Dataset, LaneFlags, LaneScalars, LaneStatus, Policies, Rewards, Values
from jaxcliff.solvers.batch import Status


def default_tie_tolerance(dtype: Any) -> float:
    """Gaps up to this, in units of the reward's span, are ties: 1e-11 in float64, 1e-4 in float32."""
    return 1e-11 if dtype == jnp.float64 else 1e-4


def tie_tolerance_of(dtype: Any, given: Any, rewards: Any = None) -> Any:
    """The tie tolerance that was asked for; or the default of the dtype in which a problem (and its reward) came.

    The one rule of all that decide. float32 numbers are ties to 1e-4 of their span, however many digits they are
    computed with afterwards.
    """
    if given is not None:
        if not np.all(checks.numbers(given, "tie_tolerance") >= 0):
            raise ValueError(f"tie_tolerance must not be negative or NaN, but it is {given}")
        return given
    own = getattr(rewards, "dtype", dtype)
    own = jax.dtypes.canonicalize_dtype(own) if np.issubdtype(own, np.floating) else dtype
    return default_tie_tolerance(promoted(dtype, own))


@record
class Solution:
    """Certified values of a batch of rewards; every field leads with the lane axes *B.

    Attributes:
        centred_q: Q(s, a) minus `offset`, [*B, S, A]; −inf where an action is illegal.
        centred_values: V(s) minus `offset`, [*B, S].
        offset: one number per lane, kept apart so that gaps do not pay for it.
        error_bound: ‖Q − Q_true‖ and ‖V − V_true‖ are at most this (sup norm, absolute, rounding included).
        gap_error: errors of gaps, before the rounding of the gap itself; see `gap_bound`.
        span: range of the lane's reward over the entries that count, the unit of every tolerance.
        status: int8 codes of `Status`.
        iterations: sweeps (but not those of a search in float32), or policy improvements, whichever `method` names; 0
            where the sweeps before it sufficed; or 1 for a single pass.
        method: what solved it: "value_iteration", "policy_iteration", "shared", "backward" or "bandit"; or several, one
            after the other, where `auto` left some lanes to a second one.
        kind: "optimum", "regularized" (a soft optimum), or "evaluation" of a given policy.
        regularizer: what made it soft, one strength (and base) per lane; None for the other kinds.
        made: from which arguments it came, for its dataset; while it has not been through a transformation.
        origin: the problem and the rewards that were solved, while the solution has not been through a JAX
            transformation: exact ties can be looked up there that no error bound can show.
    """

    centred_q: Rewards
    centred_values: Values
    offset: LaneScalars
    error_bound: LaneScalars
    gap_error: Any
    span: LaneScalars
    status: LaneStatus
    iterations: LaneStatus
    method: str = static()
    kind: str = static(default="optimum")
    regularizer: Any = None
    origin: Any = by_hand(default=None)
    made: Any = by_hand(default=None)

    @property
    def values(self) -> Values:
        """V(s), [*B, S]."""
        return _shifted(self.centred_values, self.offset)

    @property
    def q_values(self) -> Rewards:
        """Q(s, a), [*B, S, A]; −inf where an action is illegal."""
        return _shifted(self.centred_q, self.offset)

    @property
    def gaps(self) -> Rewards:
        """V(s) − Q(s, a), [*B, S, A]; +inf where an action is illegal."""
        return _gaps(self.centred_values, self.centred_q)

    @property
    def policy(self) -> Policies:
        """The policy of a soft optimum, [*B, S, A], a differentiable function of everything it was solved from.

        Where the strength is 0 it is uniform over the actions that are not certainly suboptimal (the default tie
        tolerance). A hard optimum has action sets instead, and a choice to make among them.
        """
        if self.regularizer is None:
            raise AttributeError(
                f"a solution of kind {self.kind!r} has no policy of its own: take optimal_actions(solution) and a "
                "selection from jc.policies, or solve with a regularizer"
            )
        return _soft_policy(self)

    @property
    def gap_bound(self) -> Rewards:
        """The error of each gap is at most this."""
        return _gap_bound(self.gap_error, self.centred_values, self.centred_q)

    @property
    def ok(self) -> LaneFlags:
        """Lanes that ended normally: converged, or at the rounding floor with its bound."""
        return self.status <= Status.ROUNDING_FLOOR

    def __getitem__(self, index: Any) -> "Solution":
        """Lanes, by any index over the lane axes: `sol[3]`, `sol[..., 0]`, `sol[mask]`."""
        if self.status.ndim == 0:
            raise IndexError("this solution has one lane and no lane axes to index")
        # On the host where possible: numpy refuses an index that is out of range, JAX clamps it.
        arange = np.arange if is_concrete(index) else jnp.arange
        flat = arange(self.status.size).reshape(self.status.shape)[index]
        mdp, rewards = (None, None) if self.origin is None else self.origin
        some, rewards = _lanes(flat, self, rewards)
        return some if mdp is None else some.replace(origin=(mdp, rewards))

    def __len__(self) -> int:
        if self.status.ndim == 0:
            raise TypeError("this solution has one lane and no lane axes to count")
        return self.status.shape[0]

    def to_dataset(self) -> Dataset:
        """Values, action values, bounds and how each reward ended, as a labelled xarray dataset."""
        one, table = ("...",), ("...", "state", "action")
        names = ("error_bound", "span", "status", "iterations")
        variables: Any = {name: (one, getattr(self, name)) for name in names}
        variables |= {"values": (("...", "state"), self.values), "q_values": (table, self.q_values)}
        variables |= {"gap_bound": (table, self.gap_bound)}
        if self.regularizer is not None:
            variables |= {"policy": (table, self.policy)}
        labels = None if self.origin is None else self.origin[0].labels
        settings = {"method": self.method, "solution": self.kind}
        size = self.centred_q.shape[-2:]
        return datasets.build("Solution", variables, settings, labels=labels, size=size, made=self.made)

    def summary(self) -> str:
        """One line per way in which lanes ended."""
        status = np.asarray(self.status).reshape(-1)
        span, error = (np.asarray(x).reshape(-1) for x in (self.span, self.error_bound))
        bounds = np.where(error == 0, 0, error / np.where(span > 0, span, np.nan))
        head = f"{self.kind}, {status.size} lane{'s' * (status.size != 1)}, {self.method}"
        lines = []
        for code in Status:
            hit = status == code
            if hit.any():
                reach = _at_most(float(bounds[hit].max())) if code <= Status.ITERATION_LIMIT else ""
                lines.append(f"  {hit.sum()} {code.sentence}{reach}")
        return "\n".join([head, *lines])

    def __repr__(self) -> str:
        if not is_concrete(self.status):
            return f"Solution({self.kind}, traced, {self.method})"
        bad = int(np.sum(np.asarray(self.status) > Status.ROUNDING_FLOOR))
        ending = f"{bad} not ok: see .summary()" if bad else "all ok"
        shape = list(self.centred_q.shape)
        return f"Solution({self.kind} {shape}, {self.method}, {self.centred_q.dtype}, {ending})"


@one_program
def _lanes(flat: Any, solution: Any, rewards: Any) -> Any:
    """Some lanes of a solution and of its rewards, by their places among all of them."""
    count, axes = solution.status.size, solution.status.ndim
    return jax.tree.map(lambda x: x.reshape(count, *x.shape[axes:])[flat], (solution, rewards))


@one_program
def _shifted(centred: Any, offset: Any) -> Any:
    return centred + offset.reshape(*offset.shape, *(1,) * (centred.ndim - offset.ndim))


@one_program
def _gaps(values: Any, q: Any) -> Any:
    return values[..., None] - q


@one_program
def _gap_bound(error: Any, values: Any, q: Any) -> Any:
    xp, gaps = namespace(error, values, q), values[..., None] - q
    return error[..., None] + 3 * unit_roundoff(q.dtype) * xp.abs(xp.where(xp.isposinf(gaps), 0, gaps))


@jax.jit
def _soft_policy(solution: Solution) -> Policies:
    q, regularizer = solution.centred_q, solution.regularizer
    legal = ~jnp.isneginf(q)
    solved = solution.ok[..., None, None]
    finite = jnp.where(legal & solved, q, 0)  # a NaN would reach every gradient
    limit = default_tie_tolerance(q.dtype) * solution.span[..., None, None]
    candidates = (legal & ~(solution.gaps - solution.gap_bound > limit)).astype(q.dtype)
    hard = candidates / jnp.sum(candidates, axis=-1, keepdims=True)
    soft = regularizer.strength[..., None] > 0
    policy = jnp.where(soft, regularizer.policy(finite, legal), jax.lax.stop_gradient(hard))
    return jnp.where(solved, policy, jnp.nan)


def _at_most(bound: float) -> str:
    """The bound, rounded up to a power of ten: a line that reads the same on every machine."""
    if np.isnan(bound):
        return " (in a reward whose span is 0, or lost below the smallest normal number)"
    power = f"{10.0 ** np.ceil(np.log10(bound)):.0e}" if bound > 0 else "0"
    return f" (bounds at most {power} of the reward's span)"
