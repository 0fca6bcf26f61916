"""Problems whose states are what has been written so far."""

import functools

import jax
import jax.numpy as jnp

from jaxcliff.core import checks, devices
from jaxcliff.core.labels import Labels
from jaxcliff.core.types import Flag, Key, Number, Whole
from jaxcliff.model.mdp import MDP
from jaxcliff.model.transitions import Tree
from jaxcliff.problems.random import in_both_dtypes

NAMED = 100_000  # states of a tree that get names, at most


def token_tree(
    key: Key,
    *,
    vocabulary: Whole = 4,
    depth: Whole = 6,
    correct: Number | None = None,
    discount: Number = 1.0,
    end_token: Flag = False,
) -> MDP:
    """A language model's decision problem in small: append tokens, and be rewarded for the outcome.

    The outcome of every complete sequence is drawn from N(0, 1), or is 1 with probability `correct` and 0 otherwise; it
    is paid on the last token. With `end_token` one more action ends the sequence anywhere, for an outcome of its own.

    Known: the value of the root is the best outcome, discounted by γ to the number of tokens before the last; with 0/1
    outcomes ties are the rule, not the exception.
    """
    key, tree = checks.random_key(key), Tree(vocabulary, depth, end_token)
    correct = None if correct is None else checks.number(correct, "correct")
    if correct is not None and not 0 <= correct <= 1:
        raise ValueError(f"correct must be a probability, not {correct:g}")
    needed = 2 * tree.num_states * tree.num_actions * jnp.zeros(()).dtype.itemsize
    devices.require(needed, f"a tree of {tree.num_states:.3g} states", "take fewer tokens or a smaller depth")
    return MDP(tree, _outcomes(key, tree, correct), discount, labels=_prefixes(tree))


def _prefixes(tree: Tree) -> Labels:
    """A state is called by the tokens that lead to it, `prefix 2·0·1`, and actions by their token."""
    actions = [f"token {a}" for a in range(tree.vocabulary)] + ["end"] * tree.end_token
    if tree.num_states > NAMED:
        return Labels(actions=actions, name="token tree")
    level, names = [""], ["empty prefix"]
    for _ in range(tree.depth - 1):
        level = [f"{prefix}·{token}" if prefix else f"{token}" for prefix in level for token in range(tree.vocabulary)]
        names += [f"prefix {tokens}" for tokens in level]
    return Labels(names, actions, name="token tree")


@functools.partial(jax.jit, static_argnums=2)
def _outcomes(key: jax.Array, tree: Tree, correct: float | None) -> jax.Array:
    shape = (tree.num_states, tree.num_actions)
    drawn = in_both_dtypes(jax.random.normal, key, shape)
    if correct is not None:
        drawn = (jax.random.uniform(key, shape, jnp.float32) < correct).astype(drawn.dtype)
    last = jnp.arange(tree.num_states)[:, None] >= tree.level_starts[-2]
    ends = last | (jnp.arange(tree.num_actions) >= tree.vocabulary)
    return jnp.where(ends, drawn, 0)
