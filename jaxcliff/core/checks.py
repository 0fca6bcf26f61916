"""Arguments of the wrong kind: one sentence for every kind, said before anything is computed with them."""

import functools
import inspect
import operator
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxcliff.core.numerics import placed
from jaxcliff.core.records import is_concrete, is_record

Function = TypeVar("Function", bound=Callable[..., Any])
NORMS = ("inf", "2", "1")
SHOWN = 60  # characters of a value that a sentence repeats


def shown(value: Any) -> str:
    """A value as a sentence repeats it: itself if it is short, else its type."""
    text = repr(value)
    return text if len(text) <= SHOWN and "\n" not in text else f"a {type(value).__name__}"


def public(function: Function) -> Function:
    """Marks a public function: an argument that is annotated as a record of ours is one."""
    names = list(inspect.signature(function).parameters)
    kinds = {name: kind for name, kind in function.__annotations__.items() if name in names and is_record(kind)}
    places = [(names.index(name), name, kind) for name, kind in kinds.items()]

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        for i, name, kind in places:
            value = args[i] if i < len(args) else kwargs.get(name, kind)
            if value is not kind and not isinstance(value, kind):
                raise TypeError(f"{name} of {function.__name__} must be a jc.{kind.__name__}, not {shown(value)}")
        return function(*args, **kwargs)

    return checked  # type: ignore[return-value]


def whole(value: Any, name: str, least: int = 0, most: int | None = None) -> int:
    """A whole number (a Python or numpy integer) from `least` to `most`."""
    try:
        found = None if isinstance(value, bool | np.bool_) else operator.index(value)
    except TypeError:  # a traced number is none either
        found = None
    if found is None or found < least or (most is not None and found > most):
        bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"{name} must be a whole number {bounds}, not {shown(value)}")
    return found


def flag(value: Any, name: str) -> bool:
    """True or False."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} must be True or False, not {shown(value)}")
    return bool(value)


def place(index: Any, count: int, what: str) -> int:
    """A position among `count` things, as Python has it: −1 is the last."""
    found = places(index, count, what)
    if found.ndim:
        raise ValueError(f"the number of a {what} must be one number, not an array of shape {list(found.shape)}")
    return int(found)


def places(indices: Any, count: int, what: str) -> np.ndarray:
    """Positions among `count` things, of any shape, as Python has them."""
    found = None if isinstance(indices, jax.Array) and is_key(indices) else np.asarray(indices)
    if found is None or found.dtype.kind not in "iu":
        raise ValueError(f"the number of a {what} must be a whole number, not {shown(indices)}")
    if found.size and not (found.min() >= -count and found.max() < count):
        worst = found.max() if found.max() >= count else found.min()
        raise IndexError(f"there is no {what} {worst}: there are {count}")
    return np.where(found < 0, found + count, found)


def real(value: Any, name: str) -> np.ndarray:
    """Real numbers of any shape, on the host, as they are."""
    unmasked(value, name)
    try:
        found = np.asarray(value)
        if found.dtype.kind in "biuf" or jnp.issubdtype(found.dtype, jnp.floating):
            return found
    except (TypeError, ValueError):
        pass
    else:
        if found.dtype.kind == "c":
            raise ValueError(f"{name} must be real, not {found.dtype}")
    raise ValueError(f"{name} must be real numbers, not {shown(value)}")


def unmasked(value: Any, name: str) -> None:
    """Refuses what numpy's masked arrays hide, in lists of arrays too."""
    if count := _masked(value):
        entries = "1 entry" if count == 1 else f"{count} entries"
        raise ValueError(f"{entries} of {name} {'is' if count == 1 else 'are'} masked; fill or remove what is masked")


def _masked(value: Any) -> int:
    if isinstance(value, list | tuple):
        return sum(map(_masked, value))
    return int(np.ma.count_masked(value)) if np.ma.isMaskedArray(value) else 0


def numbers(value: Any, name: str) -> np.ndarray:
    """Real numbers of any shape, on the host, as float64."""
    return np.asarray(real(value, name), np.float64)


def number(value: Any, name: str) -> float:
    """One real number; NaN and infinity are left to whoever asks."""
    found = numbers(value, name)
    if found.ndim:
        raise ValueError(f"{name} must be one number, not an array of shape {list(found.shape)}")
    return float(found)


def array(value: Any, name: str) -> jax.Array:
    """An array of real numbers for JAX, traced or not."""
    unmasked(value, name)
    try:
        given = value.data if np.ma.isMaskedArray(value) else value
        host = _on_host(given)
        found = jnp.asarray(given) if host is None else placed(host)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} must be an array of numbers, not {shown(value)}") from None
    if is_key(found) or jnp.issubdtype(found.dtype, jnp.complexfloating):
        raise ValueError(f"{name} must be real, not {found.dtype}")
    return found


def _on_host(value: Any) -> np.ndarray | None:
    """Numbers of numpy's, or lists of Python's, as a host array that JAX takes as it is; None for all others."""
    if isinstance(value, np.ndarray | np.generic):
        return np.asarray(value)
    if isinstance(value, list | tuple) and _plain(value):
        found = np.asarray(value)
        wide = found.dtype.kind == "i" and not (found.min(initial=0) >= -(2**31) and found.max(initial=0) < 2**31)
        return None if wide or found.dtype.kind not in "bif" else found  # what may overflow is left to JAX
    return None


def _plain(value: Any) -> bool:
    """Whether this is a number of Python's, or lists of them."""
    return all(map(_plain, value)) if isinstance(value, list | tuple) else isinstance(value, bool | int | float)


def norm(value: Any) -> str:
    """The name of a norm: "inf", "2" or "1"."""
    if not isinstance(value, str) or value not in NORMS:
        raise ValueError(f"norm must be one of {', '.join(map(repr, NORMS))}, not {shown(value)}")
    return value


def weights(given: Any, number: int, states: int, lanes: bool = False) -> Any:
    """Weights of so many rewards as [N, 1] or [N, S], after any lane axes: an array [N] is the same in every state."""
    found = given[:, None] if given.ndim == 1 else given
    right = found.ndim == 2 or (lanes and found.ndim > 2)
    if not right or found.shape[-2] != number or found.shape[-1] not in (1, states):
        after = " (after any lane axes)" if lanes else ""
        raise ValueError(
            f"weights of {number} rewards must have shape [{number}], [{number}, 1] or [{number}, {states}]{after}, "
            f"not {list(given.shape)}"
        )
    return found


def scalar(value: Any, name: str) -> jax.Array:
    """One real number for JAX, traced or not."""
    found = array(value, name)
    if found.ndim:
        raise ValueError(f"{name} must be one number, not an array of shape {list(found.shape)}")
    return found


def is_key(value: Any) -> bool:
    """Whether an array holds JAX random keys of the new kind."""
    return hasattr(value, "dtype") and jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key)


def listed(value: Any, name: str) -> list[Any]:
    """What is in a list; one string is none, nor are a table's names."""
    try:
        if not isinstance(value, str | bytes | dict):
            return list(value)
    except TypeError:
        pass
    raise ValueError(f"{name} must be a list, not {shown(value)}")


def random_key(key: Any) -> jax.Array:
    """One JAX random key, of the new or the old kind."""
    dtype, shape = getattr(key, "dtype", None), tuple(getattr(key, "shape", ()))
    if is_key(key):
        if shape == ():
            return key
        raise ValueError(f"key must be one JAX random key, not {list(shape)} of them")
    if dtype != np.uint32 or shape not in ((2,), (4,)):
        raise ValueError(f"key must be a JAX random key, such as jax.random.key(0), not {shown(key)}")
    return jnp.asarray(key)


def study(ds: Any, name: str, maker: str) -> None:
    """A figure's dataset is that of the study whose picture it is."""
    attributes = getattr(ds, "attrs", None)
    if not isinstance(attributes, dict) or not hasattr(ds, "sizes"):
        raise ValueError(f"this figure draws a dataset made by {maker}, not {shown(ds)}")
    found = attributes.get("study", attributes.get("kind"))
    if found != name:
        raise ValueError(f"this figure draws a dataset made by {maker}; this one is of another kind: {found!r}")


def takes_numpy(rule: Function) -> Function:
    """Marks a selection rule that computes with numpy's arrays what it computes with JAX's."""
    rule.takes_numpy = True  # type: ignore[attr-defined]
    return rule


def selected(rule: Any, acts: Any) -> np.ndarray:
    """The policies that a selection rule makes of action sets of numpy's, of their shape."""
    if not callable(rule):
        raise ValueError(f"rule must be a selection such as jc.policies.first, not {shown(rule)}")
    plain = getattr(rule, "takes_numpy", False)
    found = np.asarray(rule(acts if plain else jax.tree.map(placed, acts)))
    if found.shape != acts.gap.shape:
        raise ValueError(f"rule must return policies of shape {list(acts.gap.shape)}, not {list(found.shape)}")
    return found


def untraced(kind: str) -> Callable[[Function], Function]:
    """Marks a function that reads its numbers with numpy: traced ones get a sentence."""

    def mark(function: Function) -> Function:
        function = public(function)

        @functools.wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            if not is_concrete(args, kwargs):
                raise TypeError(
                    f"{function.__name__} is {kind}: numpy reads its numbers, so it cannot be traced by jax.jit, vmap "
                    "or grad; call it outside"
                )
            return function(*args, **kwargs)

        return checked  # type: ignore[return-value]

    return mark


host_geometry = untraced("host geometry")
host_study = untraced("a study on the host")
