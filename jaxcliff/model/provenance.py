"""What made a result: version, problem, rewards, seed, settings and time, as attributes of its dataset.

`recorded` marks a function whose answer remembers every argument. A problem is known by a hash of its numbers: two
datasets with one `problem_hash` are of one problem, with one `reward_hash` of one reward. Hashing reads all numbers, so
it waits until a dataset is asked for.
"""

import copy
import dataclasses
import datetime
import functools
import hashlib
import inspect
import json
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np

from jaxcliff.core import checks
from jaxcliff.core.records import is_concrete, is_record
from jaxcliff.core.version import __version__
from jaxcliff.model.mdp import MDP

Function = TypeVar("Function", bound=Callable[..., Any])
DIGITS = 12
KEPT = 2**22  # numbers of an array that is copied
SHORT = 64  # numbers of a list that is written down and not hashed
# Arguments that hold rewards, and what their hash is called.
REWARDS = {name: name for name in ("true_reward", "direction", "directions", "x", "y", "weights_of", "q_values")}
REWARDS |= {"reward": "reward", "rewards": "reward"}
ASIDE = ("mdp", "key", "progress")


def recorded(function: Function) -> Function:
    """Marks a public function of a problem: a record that it returns has `made`, a dataset the same as attributes."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def remembered(*args: Any, **kwargs: Any) -> Any:
        try:
            arguments = signature.bind(*args, **kwargs)
        except TypeError:  # which the function itself says better
            arguments = None
        mdp = None if arguments is None else arguments.arguments.get("mdp")
        if arguments is None or not isinstance(mdp, MDP) or not is_concrete(mdp, *arguments.arguments.values()):
            return function(*args, **kwargs)
        arguments.apply_defaults()
        made = Made(arguments.arguments)
        answer = function(*args, **kwargs)
        if isinstance(answer, list):
            return [each.replace(made=made.alone("direction", i)) for i, each in enumerate(answer)]
        if is_record(type(answer)):
            return answer.replace(made=made)
        answer.attrs |= made.attributes()
        return answer

    return remembered  # type: ignore[return-value]


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
    """How a result came about: from which arguments, `mdp` and maybe `key` among them.

    Arrays that somebody else could change are copied, unless they are very large.
    """

    def __init__(self, arguments: dict[str, Any]):
        self._arguments = {name: _kept(x) for name, x in arguments.items()}
        self._time = datetime.datetime.now(datetime.UTC)

    def also(self, **more: Any) -> "Made":
        """The same with further arguments."""
        other = copy.copy(self)
        other._arguments = self._arguments | {name: _kept(x) for name, x in more.items()}
        return other

    def alone(self, name: str, index: int) -> "Made":
        """That of one of several things that were asked for together, such as one of the directions."""
        other = self.also(**{name: self._arguments[f"{name}s"][index]})
        del other._arguments[f"{name}s"]
        return other

    def attributes(self) -> dict[str, Any]:
        given = self._arguments
        mdp = given["mdp"]
        found: dict[str, Any] = {
            "jaxcliff": __version__,
            "jax": jax.__version__,
            "made": self._time.isoformat(timespec="seconds"),
            "problem": repr(mdp),
            "problem_name": mdp.labels.name,
            "problem_shape": [mdp.num_states, mdp.num_actions],
            "problem_hash": fingerprint(mdp),
            "discount": float(mdp.discount),
            "dtype": str(mdp.dtype),
        }
        for earlier in (getattr(x, "made", None) for x in given.values()):
            if isinstance(earlier, Made):  # a solution, of rewards of its own
                found |= {name: x for name, x in earlier.attributes().items() if name.endswith("_hash")}
        for name, called in REWARDS.items():
            x = given.get(name)
            if x is None and called == "reward" and name in given:
                x = mdp.reward
            if x is not None:
                found[f"{called}_hash"] = _reward_hash(mdp, x)
        if given.get("key") is not None:
            key = given["key"]
            found["seed"] = np.asarray(jax.random.key_data(key) if checks.is_key(key) else key).tolist()
        rest = {name: _plain(x) for name, x in given.items() if name not in ASIDE and name not in REWARDS}
        found["settings"] = json.dumps(rest)
        return found


class Read(Written):
    """What a dataset that was read from a file says of how it was made."""

    def __init__(self, attributes: dict[str, Any]):
        self._attributes = {name: x for name, x in attributes.items() if name in WRITTEN or name.endswith("_hash")}

    def attributes(self) -> dict[str, Any]:
        return dict(self._attributes)


WRITTEN = {
    "jaxcliff",
    "jax",
    "made",
    "problem",
    "problem_name",
    "problem_shape",
    "discount",
    "dtype",
    "seed",
    "settings",
}


def fingerprint(tree: Any, words: str = "") -> str:
    """Twelve digits that belong to the numbers of a pytree of arrays, their shapes and their dtypes; and to words."""
    found = hashlib.sha256(words.encode("utf-8", "backslashreplace"))
    for leaf in jax.tree.leaves(tree):
        array = np.asarray(leaf)
        found.update(f"{array.dtype}{array.shape}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()[:DIGITS]


def _kept(x: Any) -> Any:
    """What nobody changes any more; but for arrays too large to keep twice."""
    if not isinstance(x, np.ndarray | list | tuple) or (isinstance(x, np.ndarray) and x.size > KEPT):
        return x
    try:
        found = np.array(x)
    except (TypeError, ValueError):  # no array: what is wrong with it, the function says
        return x
    return found if found.dtype.kind in "biuf" else x


def _reward_hash(mdp: MDP, x: Any) -> str:
    """Of the entries that count, in float64: whatever array or list held them."""
    array = np.asarray(x, np.float64)
    fits = array.shape[-2:] == mdp.reward.shape
    return fingerprint(np.where(np.asarray(mdp.decisions), array, 0.0) if fits else array)


def _plain(x: Any) -> Any:
    """What JSON can hold: numbers, words, short lists; records by their fields; of long arrays the hash."""
    if x is None or isinstance(x, bool | int | str):
        return x
    if isinstance(x, np.bool_ | np.integer | np.floating):
        return _plain(x.item())
    if isinstance(x, float):
        return x if np.isfinite(x) else str(x)
    if isinstance(x, jax.Array | np.ndarray):
        return _plain(np.asarray(x).tolist()) if x.size <= SHORT else f"{list(x.shape)} {fingerprint(x)}"
    if isinstance(x, list | tuple):
        return [_plain(each) for each in x]
    if isinstance(x, functools.partial):
        return {
            "kind": _plain(x.func),
            "arguments": _plain(list(x.args)),
            **{k: _plain(v) for k, v in x.keywords.items()},
        }
    if type(x).__module__.startswith("jaxcliff."):
        if isinstance(made := getattr(x, "made", None), Made):
            return {"kind": type(x).__name__} | json.loads(made.attributes()["settings"])
        own = {f.name: getattr(x, f.name) for f in dataclasses.fields(x)} if dataclasses.is_dataclass(x) else vars(x)
        return {"kind": type(x).__name__} | {name: _plain(value) for name, value in own.items() if name != "labels"}
    return getattr(x, "__name__", type(x).__name__)
