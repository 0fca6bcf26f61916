"""What made a result: version, problem, rewards, seed, settings and time, as attributes of its dataset.

A problem is known by a hash of its numbers: two datasets with one `problem_hash` are of one problem. Hashing reads all
numbers, so that it waits until a dataset is asked for.
"""

import datetime
import hashlib
import json
from typing import Any

import jax
import numpy as np

from jaxcliff.core.records import is_concrete
from jaxcliff.core.version import __version__
from jaxcliff.model.mdp import MDP

DIGITS = 12


class Written:
    """What can be written out; two are the same if that is."""

    def attributes(self) -> dict[str, Any]:
        """Everything, in types that any file format holds."""
        return {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Written) and self.attributes() == other.attributes()

    def __hash__(self) -> int:
        return hash(self.attributes().get("problem_hash"))


class Made(Written):
    """How a result came about; `attributes` writes it out.

    Args:
        mdp: the problem.
        key: the random key, if there was one.
        arrays: rewards and directions by name, of which a hash is kept; None is the problem's own reward.
        settings: whatever else was asked for, by the name of its argument.
    """

    def __init__(self, mdp: MDP, key: Any = None, arrays: dict[str, Any] | None = None, **settings: Any):
        self._mdp, self._key, self._arrays, self._settings = mdp, key, arrays or {}, settings
        self._time = datetime.datetime.now(datetime.UTC)

    def attributes(self) -> dict[str, Any]:
        mdp = self._mdp
        found: dict[str, Any] = {
            "jaxcliff": __version__,
            "jax": jax.__version__,
            "made": self._time.isoformat(timespec="seconds"),
            "problem": repr(mdp),
            "problem_name": mdp.labels.name,
            "problem_shape": [mdp.num_states, mdp.num_actions],
            "discount": float(mdp.discount),
            "dtype": str(mdp.dtype),
        }
        if is_concrete(mdp):
            found["problem_hash"] = fingerprint(mdp)
        own = {name: mdp.reward if x is None else x for name, x in self._arrays.items()}
        found |= {f"{name}_hash": fingerprint(np.asarray(x, np.float64)) for name, x in own.items() if is_concrete(x)}
        if self._key is not None and is_concrete(self._key):
            typed = jax.dtypes.issubdtype(self._key.dtype, jax.dtypes.prng_key)
            found["seed"] = np.asarray(jax.random.key_data(self._key) if typed else self._key).tolist()
        found["settings"] = json.dumps({name: _plain(x) for name, x in self._settings.items()})
        return found


class Read(Written):
    """What a dataset that was read from a file says of how it was made."""

    def __init__(self, attributes: dict[str, Any]):
        self._attributes = {name: x for name, x in attributes.items() if name in WRITTEN or name.endswith("_hash")}

    def attributes(self) -> dict[str, Any]:
        return dict(self._attributes)


WRITTEN = frozenset(
    "jaxcliff jax made problem problem_name problem_shape discount dtype seed settings".split()  # noqa: SIM905
)


def fingerprint(tree: Any) -> str:
    """Twelve digits that belong to the numbers of a pytree of arrays, their shapes and their dtypes."""
    found = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        array = np.asarray(leaf)
        found.update(f"{array.dtype}{array.shape}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()[:DIGITS]


def _plain(x: Any) -> Any:
    """What JSON can hold: numbers, words, short lists; of the rest, what it is."""
    if x is None or isinstance(x, bool | int | str):
        return x
    if isinstance(x, float | np.floating):
        return float(x) if np.isfinite(x) else str(float(x))
    if isinstance(x, np.integer):
        return int(x)
    if callable(x):
        return getattr(x, "__name__", type(x).__name__)
    if isinstance(x, list | tuple | np.ndarray | jax.Array) and np.size(x) <= 64:
        return [_plain(each) for each in np.asarray(x).ravel().tolist()]
    return f"{type(x).__name__}{list(np.shape(x))}" if np.ndim(x) else type(x).__name__
