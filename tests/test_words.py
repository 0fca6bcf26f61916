"""One language: the words of docs/house.md in every signature, and where an argument stands."""

import inspect
import json
import pathlib
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcliff as jc

HOUSE = (pathlib.Path(__file__).parents[1] / "docs/house.md").read_text()


def glossary():
    """What an argument is not called, and the words that it is, from the table of docs/house.md."""
    table = HOUSE[HOUSE.index("## The words") : HOUSE.index("## The numbers")]
    for row in re.findall(r"^\| (`.*) \| .* \| (.*) \|$", table, re.M):
        for wrong in filter(None, (word.strip() for word in row[1].split(","))):
            yield wrong, row[0]


OTHERWISE = dict(glossary())
ROOMS = (
    "aggregate",
    "claims",
    "family",
    "figures",
    "learners",
    "metrics",
    "models",
    "perturb",
    "policies",
    "problems",
    "studies",
)
ROOMS += ("scenarios", "sweep", "theory")


def functions():
    for name in jc.__all__:
        thing = getattr(jc, name)
        if inspect.isfunction(thing):
            yield name, thing
        elif inspect.isclass(thing):
            yield from ((f"{name}.{n}", f) for n, f in vars(thing).items() if inspect.isfunction(f) and n[0] != "_")
            if "__init__" in vars(thing):
                yield name, thing.__init__
        elif name in ROOMS:
            yield from ((f"{name}.{n}", getattr(thing, n)) for n in thing.__all__ if callable(getattr(thing, n)))


FUNCTIONS = dict(functions())


def _of(name):
    thing = jc
    for part in name.split("."):
        thing = getattr(thing, part)
    return thing


def names_of(function):
    return list(inspect.signature(function).parameters)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_arguments_are_called_by_their_names(name):
    for argument in names_of(FUNCTIONS[name]):
        assert argument not in OTHERWISE or (name, argument) in FACTORED, f"{name}({argument}): {OTHERWISE[argument]}"


# Exceptions. `base` is a policy that others are measured from, and no word for a factorisation; these take policies.
FACTORED = {
    ("KL", "base"),
    ("FDivergence", "base"),
    ("policies.best_of", "base"),
    ("policies.closest_to", "base"),
    ("policies.kl_limit", "base"),
    ("studies.temperature_curve", "base"),
    ("theory.chi_square", "base"),
    ("theory.regularizer_law", "base"),
    ("problems.Scores", "base"),
    ("claims.verify", "seed"),  # a number, which a table can hold
    ("audit", "seed"),  # a number, which a command line can say
    ("sweep.run", "seed"),  # a number, which a store can hold
}


def test_the_glossary_is_read():
    assert {"temperature", "alpha", "beta", "draws", "samples", "pixels", "seed", "gammas", "ts"} <= set(OTHERWISE)


def test_a_subset_of_states_is_called_where():
    counted = {name for name, f in FUNCTIONS.items() if "states" in names_of(f)}
    counted = {name for name in counted if not name.startswith(("problems.", "Labels."))}
    assert counted <= {"Factorization.normals", "Walls.normals", "Labels", "Successors", "models.Trajectories"}


def test_every_public_room_says_what_is_in_it():
    assert {name for name in jc.__all__ if inspect.ismodule(getattr(jc, name))} == set(ROOMS)
    for room in ROOMS:
        assert set(dir(getattr(jc, room))) == set(getattr(jc, room).__all__), room


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_key_comes_first_or_by_its_name(name):
    parameters = inspect.signature(FUNCTIONS[name]).parameters
    if "key" in parameters:
        first = names_of(FUNCTIONS[name])[0] == "key"
        assert first or parameters["key"].kind is inspect.Parameter.KEYWORD_ONLY, name


@pytest.mark.parametrize("name", [n for n, f in FUNCTIONS.items() if "mdp" in inspect.signature(f).parameters])
def test_rewards_follow_the_problem(name):
    """Directly, or after the policy that is asked about; and where they may be left out, they are the problem's own."""
    names = names_of(FUNCTIONS[name])
    own = next((n for n in ("reward", "rewards") if n in names), None)
    if own is None:
        return
    before = names[: names.index(own)]
    allowed = [["mdp"], ["key", "mdp"], ["mdp", "policy"], ["policy", "mdp"]]
    assert before in allowed, f"{name}: {before} before {own}"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_norm_and_tie_tolerance_have_one_default_each(name):
    parameters = inspect.signature(FUNCTIONS[name]).parameters
    for argument, default in (("norm", "inf"), ("tie_tolerance", None), ("where", ("all", None)), ("family", None)):
        if argument in parameters and parameters[argument].default is not inspect.Parameter.empty:
            allowed = default if isinstance(default, tuple) else (default,)
            assert parameters[argument].default in allowed, f"{name}({argument}={parameters[argument].default!r})"


# Functions and methods; a record's own fields are described in its docstring, and cast when it is built.
PUBLIC = {name: f for name, f in FUNCTIONS.items() if inspect.isfunction(f) and not name.endswith(".replace")}
PUBLIC = {name: f for name, f in PUBLIC.items() if f.__name__ != "__init__" and not inspect.isclass(_of(name))}
# What goes through as it came: dtypes, and the parts of operators that only solvers call.
ANYTHING = {"dtype", "legal", "cones", "coordinates", "s", "a"}


@pytest.mark.parametrize("name", PUBLIC)
def test_types_say_what_goes_in(name):
    """Each argument has a type, and it is not "anything": the names of core/types.py say what is meant."""
    for argument, parameter in inspect.signature(inspect.unwrap(PUBLIC[name])).parameters.items():
        if argument in ("self", "cls") or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        assert parameter.annotation is not inspect.Parameter.empty, f"{name}({argument})"
        assert parameter.annotation is not Any or argument in ANYTHING, f"{name}({argument}: Any)"


RESULTS = [
    name
    for name in jc.__all__
    if name[0].isupper()
    and hasattr(getattr(jc, name), "__dataclass_fields__")
    and name not in {"MDP", "Dense", "Successors", "Tree", "Entropy", "KL", "Sparsemax", "FDivergence", "Factorization"}
]


def results():
    """One of each, as simple as it gets."""
    key, soft = jax.random.key(0), jc.Entropy(1.0)
    mdp = jc.problems.fork(0.5)
    x, y = jnp.eye(2)[jnp.asarray([0, 0, 0])], jnp.eye(2)[jnp.asarray([1, 1, 1])]
    sol, near = jc.solve(mdp), jc.nearest_cliff(mdp)
    slope = jc.soft_jacobian(mdp, jc.solve(mdp, regularizer=soft))
    yield jc.calibrate(mdp, noise=0.1, budget=0.2, key=key, count=100)
    yield from (sol, jc.solve(mdp, [mdp.reward, 2 * mdp.reward], regularizer=soft), jc.optimal_actions(sol), near)
    yield from (jc.nearest_cliff(mdp, [mdp.reward, x]), near.walls, jc.cliffs_along(mdp, None, y - x), slope)
    yield from (jc.policy_map(mdp, None, x, y), slope.lipschitz(), jc.weight_map(mdp, [x, y]))
    yield from (jc.weight_map(mdp, [x, y, x - y]), jc.weight_map(mdp, [x, y, x - y, 2 * y], key=key, count=8))
    yield jc.census(mdp, jc.perturb.gaussian(key, mdp, sigma=1.0, count=16).rewards)
    yield from (jc.flip_probability(mdp), jc.flip_probability(mdp, key=key, count=100))
    yield from (jc.repair(mdp, near.walls.actions, gap=0.1), jc.best_tiebreaker(mdp, state=0, action=1, budget=9.0))
    yield from (jc.perturb.ball(key, mdp, size=1.0, count=4), jc.perturb.bump(mdp, sol.q_values, 0, 0, 1.0))
    yield jc.problems.from_scores({"context": ["q", "q"], "action": ["yes", "no"], "rm": [1.0, 0.5]})


@pytest.fixture(scope="module")
def every():
    return list(results())


def test_every_result_speaks_and_becomes_a_dataset(every, tmp_path):
    seen = {type(result).__name__ for result in every}
    assert set(RESULTS) <= seen
    for i, result in enumerate(every):
        text = result.summary()
        assert text, result
        assert "nan" not in text.lower()
        ds = result.to_dataset()
        assert ds.attrs["kind"] in (type(result).__name__, "Path", "PolicyMap")
        assert isinstance(result, jc.Bracket) or "problem_hash" in ds.attrs, result
        ds.to_zarr(tmp_path / f"{i}.zarr", mode="w", consolidated=False)
        if hasattr(result, "to_dataframe"):
            assert len(result.to_dataframe()) > 0, result


def test_datasets_say_what_made_them():
    mdp, x = jc.problems.fork(0.5), np.eye(2)[[0, 0, 0]]
    one, two, third = (jc.nearest_cliff(jc.problems.fork(gap)).to_dataset().attrs for gap in (0.5, 0.5, 0.25))
    assert one["problem_hash"] == two["problem_hash"] != third["problem_hash"]
    assert (one["problem_name"], one["jaxcliff"], one["problem_shape"]) == ("fork", jc.__version__, [3, 2])
    masked = jc.nearest_cliff(mdp, family=jc.family.mask(x)).to_dataset().attrs
    assert json.loads(masked["settings"])["family"]["kind"] == "Entries"
    assert json.loads(one["settings"])["family"] is None
    ds = jc.studies.flip_frequency(mdp, sizes=[0.1], key=jax.random.key(7), count=16)
    assert ds.attrs["seed"] == [0, 7]
    given = mdp.reward.tolist()
    hashes = {
        ds.attrs["reward_hash"],
        one["reward_hash"],
        jc.cliffs_along(mdp, given, x).to_dataset().attrs["reward_hash"],
        jc.studies.soft_against_hard(mdp, given).attrs["reward_hash"],
        jc.solve(mdp).to_dataset().attrs["reward_hash"],
    }
    assert len(hashes) == 1
    soft = jc.solve(mdp, regularizer=jc.KL(0.5, np.full((3, 2), 0.5))).to_dataset().attrs
    assert json.loads(soft["settings"])["regularizer"]["strength"] == 0.5
    assert soft["problem_hash"] == one["problem_hash"]


def test_every_argument_is_in_the_record():
    mdp, x = jc.problems.fork(0.5), np.eye(2)[[0, 0, 0]]
    key, aside = jax.random.key(0), {"mdp", "key", "progress"}
    asked = {
        jc.cliffs_along: (None, x),
        jc.studies.temperature_curve: {"key": key, "strength": [1.0], "count": 4},
        jc.studies.phase_diagram: (None, x, 1 - x),
        jc.studies.aggregation_stability: {"rewards": [x, 1 - x], "key": key, "count": 4},
        jc.best_tiebreaker: {"state": 0, "action": 1, "budget": 9.0},
        jc.perturb.ball: {"key": key, "size": 1.0, "count": 2},
    }
    for function, arguments in asked.items():
        named = arguments if isinstance(arguments, dict) else {}
        answer = function(mdp=mdp, **named) if named else function(mdp, *arguments)
        attributes = (answer if hasattr(answer, "attrs") else answer.to_dataset()).attrs
        settings = json.loads(attributes["settings"])
        for name in set(inspect.signature(function).parameters) - aside:
            own = "reward" if name == "rewards" else name
            assert name in settings or f"{own}_hash" in attributes or name in ("true_reward", "weights_of"), name
        assert ("seed" in attributes) == ("key" in named)


def test_what_made_a_result_is_as_it_was(rng):
    """What the caller's array becomes afterwards is no matter; a path from a file says the same."""
    mdp, reward = jc.problems.fork(0.5), np.array([[1.0, 0.5], [0.0, 0.0], [0.0, 0.0]])
    path = jc.cliffs_along(mdp, reward, np.eye(2)[[0, 0, 0]], stop=1.0)
    before = jc.cliffs_along(mdp, reward.copy(), np.eye(2)[[0, 0, 0]], stop=1.0).to_dataset().attrs["reward_hash"]
    reward[0, 0] += 1
    assert path.to_dataset().attrs["reward_hash"] == before
    again = jc.Path.from_dataset(path.to_dataset())
    assert again.to_dataset().attrs == path.to_dataset().attrs


def test_one_key_gives_one_problem_in_both_dtypes():
    makers = (
        lambda key: jc.problems.garnet(key, states=30, actions=3, branching=4),
        lambda key: jc.problems.tie_planted(key)[0],
        lambda key: jc.problems.token_tree(key, vocabulary=3, depth=3),
        lambda key: jc.problems.token_tree(key, vocabulary=3, depth=3, correct=0.5),
    )
    for make in makers:
        found = []
        for wide in (False, True):
            with jax.enable_x64(wide):
                found.append(jax.device_get(make(jax.random.key(3))))
        narrow, wide = found
        np.testing.assert_allclose(narrow.reward, wide.reward, atol=1e-6 * 20)
        if hasattr(narrow.transitions, "states"):
            np.testing.assert_array_equal(narrow.transitions.states, wide.transitions.states)
            np.testing.assert_allclose(narrow.transitions.probabilities, wide.transitions.probabilities, atol=1e-6)
    tree = jc.problems.token_tree(jax.random.key(0), vocabulary=2, depth=3)
    assert tree.labels.state(5) == "prefix 1·0"
    assert tree.labels.state(0) == "empty prefix"


def test_weights_come_in_every_shape():
    rewards = jnp.asarray(np.random.default_rng(0).normal(size=(3, 5, 2)), jnp.float32)
    mdp = jc.problems.contextual_bandit(rewards.mean(0))
    one = np.array([0.2, 0.3, 0.5], np.float32)
    shapes = (one, one[:, None], np.repeat(one[:, None], 5, axis=1))
    mixed = [np.asarray(jc.aggregate.linear(rewards, w)) for w in shapes]
    left = [np.asarray(jc.perturb.without(mdp, rewards, w).rewards) for w in shapes]
    near = [jc.nearest_cliff(mdp, mixed[0], family=jc.family.component(w, 1, 2)).radius for w in shapes]
    joint = [jc.nearest_cliff(mdp, mixed[0], family=jc.family.components(w, 2)).radius for w in shapes]
    for same in (mixed, left, near, joint):
        np.testing.assert_array_equal(same[0], same[1])
        np.testing.assert_allclose(same[0], same[2], rtol=1e-6)
    bounds = [np.asarray(jc.theory.mixture_bound(one, w[::-1], 2.0)) for w in shapes]
    for bound in bounds:
        np.testing.assert_allclose(bound, bounds[0], rtol=1e-6)
    with pytest.raises(ValueError, match="weights of 3 rewards must have shape"):
        jc.perturb.without(mdp, rewards, shapes[1][None])
    for bad in (one[:2], np.ones((3, 4)), np.ones(())):
        with pytest.raises(ValueError, match=r"weights of 3 rewards must have shape \[3\], \[3, 1\] or \[3, 5\]"):
            jc.aggregate.linear(rewards, bad)
