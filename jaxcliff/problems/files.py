"""Problems in files: one `.npz` of plain arrays, no pickles."""

import pathlib
import zipfile
from typing import Any

import numpy as np

from jaxcliff.labels import Labels
from jaxcliff.mdp import MDP
from jaxcliff.transitions import Dense, Successors, Tree

FORMAT = 1


def save(mdp: MDP, path: Any) -> None:
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
    others = {"state_names": labels.states, "positions": labels.positions}
    arrays |= {name: np.asarray(value) for name, value in others.items() if value}
    path = pathlib.Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"a problem is saved as .npz, not {path.name!r}")
    part = path.with_suffix(".npz.part")
    with part.open("wb") as file:
        np.savez(file, **{name: np.asarray(value) for name, value in arrays.items()})  # type: ignore[arg-type]
    part.replace(path)  # a reader never sees half a file


def load(path: Any) -> MDP:
    """The problem in a `.npz` file: one that `save` wrote, or any with `reward` [S, A], `discount` and its transitions.

    Transitions are `probabilities` [S, A, S], or `probabilities` and `successors` [S, A, K], or `tree` (vocabulary,
    depth, end token), or none of them (a bandit). Optional: `initial`, `legal`, `terminal`, `state_names`,
    `action_names`, `positions`.
    """
    path = pathlib.Path(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {str(path)!r}") from None
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path.name} is not a .npz file of plain arrays: {error}") from None
    if "reward" not in arrays:
        raise ValueError(f"{path.name} holds {', '.join(sorted(arrays)) or 'nothing'}; a problem needs 'reward'")
    if arrays.get("format", FORMAT) > FORMAT:
        raise ValueError(f"{path.name} has format {arrays['format']}, newer than this jaxcliff reads ({FORMAT})")
    transitions: Any = None
    if "tree" in arrays:
        vocabulary, depth, end_token = (int(x) for x in arrays["tree"])
        transitions = Tree(vocabulary, depth, bool(end_token))
    elif "successors" in arrays:
        transitions = Successors(arrays["successors"], arrays.get("probabilities"))
    elif "probabilities" in arrays:
        transitions = Dense(arrays["probabilities"])
    labels = Labels(
        [str(x) for x in arrays.get("state_names", ())],
        _action_names(arrays.get("action_names", np.zeros(0, str))),
        [(int(r), int(c)) for r, c in arrays.get("positions", ())],
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


def _action_names(names: np.ndarray) -> list[Any]:
    """One name per action, or a list per state, without the padding that ends it."""
    if names.ndim == 1:
        return [str(x) for x in names]
    return [[str(x) for x in row[: np.max(np.flatnonzero(row != ""), initial=-1) + 1]] for row in names]
