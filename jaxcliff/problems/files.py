"""Problems in files: one `.npz` of plain arrays, no pickles."""

import difflib
import pathlib
import sys
from typing import Any

import numpy as np

from jaxcliff.core.labels import Labels, brief
from jaxcliff.core.types import PathLike
from jaxcliff.model.mdp import MDP
from jaxcliff.model.transitions import Dense, Successors, Tree
from jaxcliff.problems import layouts

FORMAT = 1
NUMBERS, WHOLE, TRUTHS, TEXTS = "biufc", "iu", "b", "U"  # kinds of numpy; that numbers are real, the problem says
# What a file may hold: numbers of axes, kinds.
ENTRIES: dict[str, tuple[tuple[int, ...], str]] = {
    "format": ((0,), WHOLE),
    "reward": ((2,), NUMBERS),
    "discount": ((0,), NUMBERS),
    "probabilities": ((3,), NUMBERS),
    "successors": ((3,), WHOLE),
    "tree": ((1,), WHOLE + TRUTHS),
    "initial": ((1,), NUMBERS),
    "legal": ((2,), TRUTHS),
    "terminal": ((1,), TRUTHS),
    "state_names": ((1,), TEXTS),
    "action_names": ((1, 2), TEXTS),
    "positions": ((2,), WHOLE),
    "name": ((0,), TEXTS),
}
KINDS = {NUMBERS: "numbers", WHOLE: "whole numbers", WHOLE + TRUTHS: "whole numbers", TRUTHS: "booleans", TEXTS: "text"}


def save(mdp: MDP, path: PathLike) -> None:
    """Writes a problem to `path`, a `.npz` file that `load` reads back bit for bit."""
    arrays: dict[str, Any] = {"format": FORMAT, "reward": mdp.reward, "discount": mdp.discount, "initial": mdp.initial}
    arrays |= {name: getattr(mdp, name) for name in ("legal", "terminal") if getattr(mdp, name) is not None}
    match mdp.transitions:
        case Dense():
            arrays |= {"probabilities": mdp.transitions.probabilities}
        case Successors():
            arrays |= {"probabilities": mdp.transitions.probabilities, "successors": mdp.transitions.states}
        case Tree():
            tree = mdp.transitions
            arrays |= {"tree": np.array([tree.vocabulary, tree.depth, tree.end_token])}
    labels = mdp.labels
    if labels.actions:
        arrays["action_names"] = labels.action_names(mdp.num_states, mdp.num_actions).astype(str)
    others = {"state_names": labels.states, "positions": labels.positions, "name": labels.name}
    arrays |= {name: np.asarray(value) for name, value in others.items() if value}
    path = pathlib.Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"a problem is saved as .npz, not {path.name!r}")
    part = path.with_suffix(".npz.part")
    with part.open("wb") as file:
        np.savez(file, **{name: np.asarray(value) for name, value in arrays.items()})  # type: ignore[arg-type]
    part.replace(path)  # a reader never sees half a file


def load(path: PathLike) -> MDP:
    """The problem in a `.npz` file: one that `save` wrote, or any with `reward` [S, A], `discount` and its transitions.

    Transitions are `probabilities` [S, A, S], or `probabilities` and `successors` [S, A, K], or `tree` (vocabulary,
    depth, end token), or none of them (a bandit). Optional: `initial`, `legal`, `terminal`, `state_names`,
    `action_names`, `positions`, `name`. Nothing else may be there: an entry that is not understood is not left out.
    Probabilities [S, A, S] that `save` did not write (there is no `format`) are stored as by `from_arrays`.
    """
    path = pathlib.Path(path)
    arrays = _arrays(path)
    _check(arrays, path.name)
    if arrays.get("format", FORMAT) > FORMAT:
        raise ValueError(f"{path.name} has format {arrays['format']}, newer than this jaxcliff reads ({FORMAT})")
    transitions: Any = None
    if "tree" in arrays:
        transitions = _tree(arrays["tree"], len(arrays["reward"]), path.name)
    elif "successors" in arrays:
        transitions = Successors(arrays["successors"], arrays.get("probabilities"))
    elif "probabilities" in arrays:
        transitions = layouts.of_array(arrays["probabilities"], "dense" if "format" in arrays else "auto")
    labels = Labels(
        [str(x) for x in arrays.get("state_names", ())],
        _action_names(arrays.get("action_names", np.zeros(0, str))),
        [(int(r), int(c)) for r, c in arrays.get("positions", ())],
        str(arrays.get("name", path.stem)),
    )
    return MDP(
        transitions,
        arrays["reward"],
        arrays.get("discount"),
        initial=arrays.get("initial"),
        legal=arrays.get("legal"),
        terminal=arrays.get("terminal"),
        labels=labels,
    )


def _arrays(path: pathlib.Path) -> dict[str, Any]:
    """Everything in the file, by name."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            if len(set(file.files)) != len(file.files):
                raise ValueError("an entry is there twice")
            return {name: _native(file[name]) for name in file.files}
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {str(path)!r}") from None
    except IsADirectoryError:
        raise
    except Exception as error:  # zip and array headers are others' parsers; a damaged file makes them raise anything
        raise ValueError(f"{path.name} is not a .npz file of plain arrays: {brief(error, 200)}") from None


def _native(array: Any) -> Any:
    """Numbers as this machine and JAX have them, of its byte order and 64 bits at most; texts of real characters."""
    if not isinstance(array, np.ndarray):
        return array  # bytes: a part of the archive that is no array
    for kind, largest in (("f", np.dtype(np.float64)), ("c", np.dtype(np.complex128))):
        if array.dtype.kind == kind and array.dtype.itemsize > largest.itemsize:
            return array.astype(largest)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype.kind == "U" and array.nbytes and np.frombuffer(array.tobytes(), np.uint32).max() > sys.maxunicode:
        raise ValueError("a name has characters that do not exist")
    return array


def _check(arrays: dict[str, Any], file: str) -> None:
    """Names, axes and kinds; the numbers themselves are the business of the problem."""
    for name in arrays:
        if name not in ENTRIES:
            near = difflib.get_close_matches(name, ENTRIES, 1) or difflib.get_close_matches(name.lower(), ENTRIES, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"a problem has {', '.join(ENTRIES)}"
            needs = "" if "reward" in arrays else f"; a problem needs 'reward', and {file} has none"
            raise ValueError(f"{file} holds {brief(name)!r}, which is no part of a problem: {hint}{needs}")
    if "reward" not in arrays:
        raise ValueError(f"{file} holds {', '.join(sorted(arrays)) or 'nothing'}; a problem needs 'reward'")
    for name in ("probabilities", "successors"):
        if name in arrays and "tree" in arrays:
            raise ValueError(f"{file} holds 'tree' and {name!r}; a problem has transitions of one kind")
    for name, array in arrays.items():
        axes, kinds = ENTRIES[name]
        if not isinstance(array, np.ndarray) or array.dtype.kind not in kinds or array.dtype.names is not None:
            raise ValueError(f"{name} in {file} must be {KINDS[kinds]}, not {getattr(array, 'dtype', 'bytes')}")
        if array.ndim not in axes:
            raise ValueError(f"{name} in {file} has shape {list(array.shape)}; it must have {axes[-1]} axes")
    if arrays.get("positions", np.zeros((0, 2))).shape[1] != 2 or (arrays.get("positions", np.zeros(1)) < 0).any():
        raise ValueError(f"positions in {file} must be a row and a column, from 0, for every state")


def _tree(numbers: np.ndarray, states: int, file: str) -> Tree:
    """The tree of (vocabulary, depth, end token), if it has so many states: others are never counted to the end."""
    if len(numbers) != 3 or (numbers[:2] < 1).any() or numbers[2] not in (0, 1):
        raise ValueError(
            f"tree in {file} must be a vocabulary and a depth of at least 1, and 0 or 1 for an end token, not "
            f"{brief(numbers.tolist())}"
        )
    vocabulary, depth, end_token = (int(x) for x in numbers)
    level, found = 1, 0
    for _ in range(min(depth, states + 1)):
        found, level = found + level, level * vocabulary
        if found > states:
            break
    if found != states:
        raise ValueError(
            f"the tree in {file}, vocabulary {vocabulary}, depth {depth}, has other states than the {states} of reward"
        )
    return Tree(vocabulary, depth, bool(end_token))


def _action_names(names: np.ndarray) -> list[Any]:
    """One name per action, or a list per state, without the padding that ends it."""
    if names.ndim == 1:
        return [str(x) for x in names]
    return [[str(x) for x in row[: np.max(np.flatnonzero(row != ""), initial=-1) + 1]] for row in names]
