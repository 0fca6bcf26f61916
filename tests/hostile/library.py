"""What the library is called with that it should not be."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

import jaxcliff as jc
from jaxcliff import Status
from tests.hostile import Row

S, A = 4, 2
NAN = float("nan")
KEY = jax.random.key(0)


@functools.cache
def mdp():
    """One small problem for all rows."""
    return jc.problems.chain(S, discount=0.9)


@functools.cache
def x():
    return jax.random.normal(jax.random.key(1), (S, A))


@functools.cache
def y():
    return jax.random.normal(jax.random.key(2), (S, A))


def half():
    return jnp.full((S, A), 0.5)


@functools.cache
def near():
    return jc.nearest_cliff(mdp())


@functools.cache
def path():
    return jc.cliffs_along(mdp(), None, x(), start=-2.0, stop=2.0)


@functools.cache
def plan():
    return jc.policy_map(mdp(), None, x(), y())


@functools.cache
def soft():
    return jc.solve(mdp(), regularizer=jc.Entropy(0.5))


@functools.cache
def acts(states=S):
    return jc.optimal_actions(jc.solve(jc.problems.chain(states, discount=0.9)))


@functools.cache
def census():
    return jc.census(mdp(), jc.perturb.gaussian(KEY, mdp(), sigma=0.3, count=8).rewards)


def three(*more):
    return jnp.stack([mdp().reward, x(), y(), *more])


def traced(call, value):
    """Called inside of jit."""
    jax.jit(lambda v: (call(v), v)[1])(value)


def same(found, expected, **tolerance):
    np.testing.assert_allclose(found, expected, **tolerance)
    return True


def named(prefix, rows):
    return [Row(f"{prefix}: {name}", do, **back) for name, do, back in rows]


def says(text):
    return {"says": text}


HOST = says("is host geometry: numpy reads its numbers, so it cannot be traced")
NO_KEY = says("key must be a JAX random key, such as jax.random.key(0), not")

KEYS = named(
    "key",
    [
        ("ball", lambda: jc.perturb.ball(0, mdp(), size=0.1, count=2), NO_KEY),
        ("sphere", lambda: jc.perturb.sphere("seed", mdp(), size=0.1, count=2), NO_KEY),
        ("gaussian", lambda: jc.perturb.gaussian(None, mdp(), sigma=0.1, count=2), NO_KEY),
        ("signs", lambda: jc.perturb.signs(np.random.default_rng(0), mdp(), size=0.1, count=2), NO_KEY),
        ("sparse", lambda: jc.perturb.sparse([0, 1], mdp(), size=0.1, count=2, entries=1), NO_KEY),
        ("redistributed", lambda: jc.perturb.redistributed(1.5, mdp(), tied=half() > 0, size=0.1, count=2), NO_KEY),
        ("garnet", lambda: jc.problems.garnet(0), NO_KEY),
        ("tree", lambda: jc.problems.token_tree(0), NO_KEY),
        ("planted", lambda: jc.problems.tie_planted(0), NO_KEY),
        ("random", lambda: jc.policies.random(acts(), key=3), NO_KEY),
        ("flip probability", lambda: jc.flip_probability(mdp(), key=0), NO_KEY),
        ("weights", lambda: jc.weight_map(mdp(), three(x()), key=0), NO_KEY),
        ("flips", lambda: jc.studies.flip_frequency(mdp(), key=0), NO_KEY),
        ("temperature", lambda: jc.studies.temperature_curve(mdp(), key=0), NO_KEY),
        ("aggregation", lambda: jc.studies.aggregation_stability(mdp(), three(), key=0), NO_KEY),
        ("phase", lambda: jc.studies.phase_diagram(mdp(), None, x(), y(), key=0), NO_KEY),
        (
            "many",
            lambda: jc.perturb.ball(jax.random.split(KEY, 3), mdp(), size=0.1, count=2),
            says("one JAX random key, not [3]"),
        ),
        (
            "of the old kind",
            lambda: jc.perturb.ball(jax.random.PRNGKey(0), mdp(), size=0.1, count=2),
            {"finds": lambda found: same(found.rewards, jc.perturb.ball(KEY, mdp(), size=0.1, count=2).rewards)},
        ),
    ],
)

RECORDS = named(
    "record",
    [
        ("solve rewards first", lambda: jc.solve(x(), mdp()), says("mdp of solve must be a jc.MDP")),
        ("evaluate text", lambda: jc.evaluate("chain", half()), says("mdp of evaluate must be a jc.MDP, not 'chain'")),
        ("cliff of an array", lambda: jc.nearest_cliff(x()), says("mdp of nearest_cliff must be a jc.MDP")),
        ("actions of actions", lambda: jc.optimal_actions(acts()), says("must be a jc.Solution")),
        ("select from a solution", lambda: jc.policies.uniform(jc.solve(mdp())), says("must be a jc.ActionSets")),
        ("slope of actions", lambda: jc.soft_jacobian(mdp(), acts()), says("must be a jc.Solution")),
        ("slope of another", lambda: jc.soft_jacobian(jc.problems.chain(5), soft()), says("of another problem")),
        ("flips of others", lambda: jc.metrics.flips(acts(), acts(5)), says("action sets of one problem are compared")),
        ("limit of another", lambda: jc.policies.entropy_limit(acts(5), mdp()), says("of another problem")),
        ("labels", lambda: mdp().replace(labels=["a", "b"]), says("labels must be jc.Labels(states, actions), not")),
        ("one string", lambda: jc.Labels("abcd"), says("states of labels must be a list, not 'abcd'")),
        ("mixed names", lambda: jc.Labels(actions=["a", ["b"]]), says("not some of each")),
        ("positions", lambda: jc.Labels(positions=[1, 2]), says("positions are pairs (row, column), not 1")),
        ("regularizer", lambda: jc.solve(mdp(), regularizer="entropy"), says("regularizer must be jc.Entropy")),
        (
            "base",
            lambda: jc.solve(mdp(), around=jc.solve(mdp())),
            says("around must be jc.factorize(mdp), not Solution"),
        ),
        (
            "labels of another",
            lambda: [jc.factorize(mdp().replace(labels=jc.Labels([f"{n}{s}" for s in range(S)]))) for n in "ab"],
            {"finds": lambda found: found[1].mdp.labels.states == ("b0", "b1", "b2", "b3")},
        ),
        (
            "labels through jit",
            lambda: [jax.jit(lambda m: m)(m) for m in (mdp(), mdp().replace(labels=jc.Labels()))],
            {"finds": lambda found: found[0].labels.actions == found[1].labels.actions == ()},
        ),
    ],
)

FAMILIES = named(
    "family",
    [
        ("text", lambda: jc.nearest_cliff(mdp(), family="all"), says("family must be one of jc.family, such as")),
        ("array", lambda: jc.flip_probability(mdp(), family=np.ones((S, A))), says("family must be one of jc.family")),
        ("module", lambda: jc.repair(mdp(), [1] * S, gap=0.1, family=jc.family), says("family must be one of")),
        (
            "tiebreaker",
            lambda: jc.best_tiebreaker(mdp(), state=0, action=1, budget=0.1, family=3),
            says("family must be one of"),
        ),
        ("other size", lambda: jc.walls(mdp(), family=jc.family.mask(np.ones((3, 2)))), says("has entries [3, 2]")),
        ("mask of counts", lambda: jc.family.mask([[2, 0]] * S), says("entries that move are a boolean")),
        ("traced", lambda: traced(jc.family.mask, half()), says("a family is host geometry")),
        ("component", lambda: jc.family.component(np.ones((2, S)), -1, A), says("must be a whole number")),
        ("norm", lambda: jc.nearest_cliff(mdp(), norm=2), says("norm must be one of 'inf', '2', '1', not 2")),
        ("rule", lambda: jc.nearest_cliff(mdp(), rule="first"), says("rule must be a selection such as")),
        ("rule returns", lambda: jc.nearest_cliff(mdp(), rule=lambda a: 1), says("rule must return policies of shape")),
        ("states", lambda: jc.walls(mdp(), where=[0, 1]), says("where must be one of 'all', 'reachable', 'visited'")),
        (
            "huge",
            lambda: jc.nearest_cliff(mdp(), norm="2", family=jc.family.component(np.full((1, S), 1e200), 0, A)),
            {"finds": lambda found: same(found.radius, 1e-200 * jc.nearest_cliff(mdp(), norm="2").radius)},
        ),
        (
            "tiny",
            lambda: jc.nearest_cliff(mdp(), norm="2", family=jc.family.features(1e-200 * np.asarray(three()))),
            {
                "finds": lambda found: same(
                    found.radius, 1e200 * jc.nearest_cliff(mdp(), norm="2", family=jc.family.features(three())).radius
                )
            },
        ),
    ],
)

TRACED = named(
    "traced",
    [
        ("nearest_cliff", lambda: traced(lambda r: jc.nearest_cliff(mdp(), r), x()), HOST),
        ("a problem", lambda: traced(jc.nearest_cliff, mdp()), HOST),
        ("walls", lambda: traced(lambda r: jc.walls(mdp(), r), x()), HOST),
        ("repair", lambda: traced(lambda r: jc.repair(mdp(), [1] * S, r, gap=0.1), x()), HOST),
        (
            "best_tiebreaker",
            lambda: traced(lambda b: jc.best_tiebreaker(mdp(), state=0, action=1, budget=b), 0.1),
            HOST,
        ),
        ("single_entries", lambda: traced(lambda m: jc.perturb.single_entries(m, size=0.1), mdp()), HOST),
        ("cliffs_along", lambda: traced(lambda d: jc.cliffs_along(mdp(), None, d), x()), HOST),
        ("policy_map", lambda: traced(lambda r: jc.policy_map(mdp(), None, r, y()), x()), HOST),
        ("census", lambda: traced(lambda r: jc.census(mdp(), r), jnp.zeros((8, S, A))), HOST),
        ("flip_probability", lambda: traced(lambda s: jc.flip_probability(mdp(), sigma=s), 0.1), HOST),
        ("weight_map", lambda: traced(lambda r: jc.weight_map(mdp(), r), three()), HOST),
        ("vmap", lambda: jax.vmap(lambda r: jc.nearest_cliff(mdp(), r).radius)(three()), HOST),
        ("grad", lambda: jax.grad(lambda r: float(jc.nearest_cliff(mdp(), r).radius))(x()), HOST),
        (
            "a study",
            lambda: traced(lambda r: jc.studies.ray(mdp(), r, y()), x()),
            says("ray is a study on the host: numpy reads its numbers"),
        ),
        (
            "successors",
            lambda: traced(
                lambda p: jc.problems.from_arrays(p, x(), 0.9, layout="successors"), jnp.ones((S, A, S)) / S
            ),
            says("layout='successors' looks for zeros, so that probabilities cannot be traced"),
        ),
        ("max_iterations", lambda: traced(lambda n: jc.solve(mdp(), max_iterations=n), 5), says("a whole number")),
    ],
)

WHOLE = named(
    "whole",
    [
        (
            "last breakpoint",
            lambda: path().switches(-1),
            {"finds": lambda found: found == path().switches(len(path().tv) - 1)},
        ),
        ("past the last", lambda: path().switches(99), says("there is no breakpoint 99: there are")),
        ("half a breakpoint", lambda: path().switches(0.5), says("the number of a breakpoint must be a whole number")),
        (
            "last region",
            lambda: plan().polygon(-1),
            {"finds": lambda found: same(found, plan().polygon(len(plan()) - 1))},
        ),
        ("no region", lambda: plan().polygon(len(plan())), says("there is no region")),
        ("far before the first", lambda: plan().neighbours(-99), says("there is no region -99")),
        ("no edge", lambda: plan().switches(99), says("there is no edge 99")),
        ("ranking", lambda: near().ranking(-1), says("count must be a whole number of at least 0, not -1")),
        ("raster", lambda: plan().rasterize(4.5), says("resolution must be a whole number of at least 1")),
        ("no raster", lambda: plan().rasterize(0), says("resolution must be a whole number of at least 1")),
        (
            "numpy's",
            lambda: jc.solve(mdp(), max_iterations=np.int64(10)),
            {"finds": lambda found: bool(found.ok)},
        ),
        ("true", lambda: jc.solve(mdp(), max_iterations=True), says("max_iterations must be a whole number")),
        (
            "count",
            lambda: jc.perturb.gaussian(KEY, mdp(), sigma=0.1, count=2.0),
            says("count must be a whole number of at least 1"),
        ),
        (
            "entries",
            lambda: jc.perturb.sparse(KEY, mdp(), size=0.1, count=2, entries=99),
            says("entries must be a whole number from 1 to"),
        ),
        ("draws", lambda: jc.flip_probability(mdp(), count=10**12), says("count must be a whole number from 1 to")),
        ("capacity", lambda: jc.factorize(mdp(), capacity="32"), says("capacity must be a whole number")),
        ("states", lambda: jc.problems.chain(4.0), says("states must be a whole number of at least 2, not 4.0")),
        ("branching", lambda: jc.problems.garnet(KEY, branching="5"), says("branching must be a whole number")),
        ("a state of bumps", lambda: jc.perturb.bump(mdp(), x(), -1, 0, 0.1), says("the state must be a whole number")),
        (
            "no state of it",
            lambda: jc.best_tiebreaker(mdp(), state=0.5, action=1, budget=0.1),
            says("the state must be a whole number"),
        ),
        ("normals", lambda: jc.factorize(mdp()).normals(99, 0), says("there is no state 99: there are 4")),
        (
            "last normal of walls",
            lambda: near().walls.normals(-1, 0),
            {"finds": lambda found: same(found, near().walls.normals(S - 1, 0))},
        ),
        (
            "a state of a study",
            lambda: jc.studies.soft_against_hard(mdp(), state=S),
            says("state must be a whole number from 0 to 3, not 4"),
        ),
        ("vocabulary", lambda: jc.Tree(2.0, 3), says("the vocabulary of a Tree must be a whole number")),
        ("depth", lambda: jc.problems.token_tree(KEY, depth=10**30), says("is larger than can be walked")),
        ("flag", lambda: jc.occupancy(mdp(), half(), normalized="no"), says("normalized must be True or False")),
    ],
)

NUMBERS = named(
    "number",
    [
        ("rewards of text", lambda: jc.solve(mdp(), "abc"), says("rewards must be an array of numbers, not 'abc'")),
        ("ragged", lambda: jc.solve(mdp(), [[1.0], [1.0, 2.0]]), says("rewards must be an array of numbers")),
        ("complex", lambda: jc.solve(mdp(), x().astype(complex)), says("rewards must be real, not complex128")),
        ("a key", lambda: jc.solve(mdp(), KEY), says("rewards must be real, not key")),
        ("tolerance", lambda: jc.solve(mdp(), tolerance="1e-9"), says("tolerance must be real numbers, not '1e-9'")),
        ("no tolerance", lambda: jc.solve(mdp(), tolerance=NAN), says("tolerance must not be negative or NaN")),
        ("method", lambda: jc.solve(mdp(), method=1), says("method must be 'auto' or one of")),
        ("init", lambda: jc.solve(mdp(), init="zeros"), says("init must be an array of numbers")),
        ("NaN reward", lambda: jc.solve(mdp(), jnp.full((S, A), NAN)), {"status": Status.INVALID_REWARD}),
        ("infinite reward", lambda: jc.solve(mdp(), jnp.full((S, A), np.inf)), {"status": Status.INVALID_REWARD}),
        ("huge reward", lambda: jc.solve(mdp(), 1e308 * jnp.sign(x())), {"status": Status.INVALID_REWARD}),
        ("no policy", lambda: jc.evaluate(mdp(), half() * NAN), {"status": Status.INVALID_REWARD}),
        ("empty", lambda: jc.solve(mdp(), jnp.zeros((0, S, A))), {"finds": lambda found: len(found) == 0}),
        ("empty cliffs", lambda: jc.nearest_cliff(mdp(), np.zeros((0, S, A))), says("there are no rewards to look at")),
        ("strength", lambda: jc.Entropy("hot"), says("strength must be real numbers, not 'hot'")),
        ("negative strength", lambda: jc.KL(-1.0, half()), says("strength must be finite and not negative")),
        (
            "strength per state or lane",
            lambda: jc.solve(mdp(), jnp.stack([x()] * S), regularizer=jc.Entropy(jnp.ones(S))),
            says("strength of shape [4] could be one per state or one per lane, as there are 4 of both: write [1, 4]"),
        ),
        (
            "strength per state",
            lambda: jc.solve(mdp(), jnp.stack([x()] * S), regularizer=jc.Entropy(jnp.arange(1.0, S + 1)[None])),
            {"finds": lambda found: same(found.values[0], found.values[3]) and bool(found.ok.all())},
        ),
        ("ties", lambda: jc.optimal_actions(jc.solve(mdp()), "1e-9"), says("tie_tolerance must be real numbers")),
        ("ties of cliffs", lambda: jc.cliffs_along(mdp(), None, x(), tie_tolerance="0"), says("tie_tolerance must be")),
        ("NaN direction", lambda: jc.cliffs_along(mdp(), None, x() * NAN), says("a direction is nan at state 0")),
        ("start", lambda: jc.cliffs_along(mdp(), None, x(), start="0"), says("start must be real numbers, not '0'")),
        (
            "backwards",
            lambda: jc.cliffs_along(mdp(), None, x(), start=1, stop=0),
            says("range of t must be increasing"),
        ),
        ("extent", lambda: jc.policy_map(mdp(), None, x(), y(), "all"), says("extent must be real numbers, not 'all'")),
        ("short extent", lambda: jc.policy_map(mdp(), None, x(), y(), 5), says("extent is (lowest x, highest x,")),
        ("share within", lambda: census().share_within("1e-3"), says("distance must be real numbers, not '1e-3'")),
        ("share within NaN", lambda: census().share_within(NAN), says("distance is NaN")),
        ("census of one", lambda: jc.census(mdp(), x()), says("a census needs at least 8 rewards")),
        ("sigma", lambda: jc.flip_probability(mdp(), sigma=[0.1]), says("sigma must be one number, not an array")),
        (
            "radius",
            lambda: jc.perturb.ball(KEY, mdp(), size=NAN, count=2),
            says("the size must be one finite number"),
        ),
        ("beyond", lambda: near().beyond(np.inf), says("factor must be finite, not inf")),
        ("discount", lambda: mdp().replace(discount="0.9"), says("the discount must be an array of numbers")),
        ("reward", lambda: jc.MDP(None, [["high"]]), says("the reward must be an array of numbers")),
        ("layout", lambda: jc.problems.gridworld([[0, 1], [2]]), says("the layout is a sequence of rows")),
        *(
            (
                f"{read.func.__name__} stored as {layout!r}",
                lambda read=read, layout=layout: read(layout=layout),
                says("layout must be 'auto', 'dense' or 'successors', not "),
            )
            for layout in ("sparse", "Dense", None, 1, ["dense"], np.array(["auto", "dense"]))
            for read in (
                functools.partial(jc.problems.from_arrays, np.eye(S)[:, None], np.ones((S, 1)), 0.9),
                functools.partial(jc.problems.from_gymnasium, {0: {0: [(1.0, 0, 0.0, False)]}}, 0.9),
            )
        ),
        ("slip", lambda: jc.problems.gridworld(slip="0.2"), says("slip must be real numbers, not '0.2'")),
        ("probabilities", lambda: jc.Dense("uniform"), says("probabilities must be an array of numbers")),
        ("policies of two sizes", lambda: jc.metrics.total_variation(half(), half()[:2]), says("two policies [..., S")),
        ("a list of states", lambda: jc.metrics.largest_total_variation(half(), half(), [0, 1]), says("a boolean [4]")),
        (
            "NaN in a base",
            lambda: jc.policies.closest_to(acts(), half() * NAN),
            {"finds": lambda found: bool(jnp.isnan(found).all())},
        ),
        (
            "plane of two",
            lambda: jc.perturb.plane(mdp(), x=x(), y=y(), xs=1.0, ys=[0.0]),
            says("xs and ys are lists of numbers"),
        ),
        (
            "direction",
            lambda: jc.perturb.along(mdp(), direction=x()[0], sizes=[1.0]),
            says("the direction must have shape [4, 2]"),
        ),
        ("dtype", lambda: jc.perturb.quantized(mdp(), dtype=jnp.int8), says("dtype must be 'float16'")),
        (
            "change",
            lambda: jc.soft_jacobian(mdp(), soft()).apply("up"),
            says("a change of the reward must be an array"),
        ),
        ("a short base", lambda: jc.factorize(mdp()).values(jnp.ones(S)), says("rewards must have shape [..., 4, 2]")),
    ],
)

HUGE = named(
    "huge",
    [
        (
            "gap",
            lambda: jc.repair(mdp(), [0] * S, gap=1e300),
            {"finds": lambda found: same(found.smallest_gap, 1e300, rtol=1e-6) and same(found.size, 5e299, rtol=0.9)},
        ),
        ("gap past all", lambda: jc.repair(mdp(), [0] * S, gap=1.7e308), says("larger than float64 can hold")),
        (
            "gap of text",
            lambda: jc.repair(mdp(), [0] * S, gap="wide"),
            says("the gap must be real numbers, not 'wide'"),
        ),
        (
            "budget",
            lambda: jc.best_tiebreaker(mdp(), state=0, action=1, budget=1e300),
            {"finds": lambda found: same(found.gap, found.upper, rtol=1e-6) and found.gap > 1e300},
        ),
        (
            "norm",
            lambda: jc.perturb.realised_norm(mdp(), jnp.full((S, A), 1e200), "2"),
            {"finds": lambda found: same(found, 1e200 * np.sqrt(S * A), rtol=1e-12)},
        ),
        (
            "tiny norm",
            lambda: jc.perturb.realised_norm(mdp(), jnp.full((S, A), 1e-200), "2"),
            {"finds": lambda found: same(found, 1e-200 * np.sqrt(S * A), rtol=1e-12)},
        ),
        ("norm of another", lambda: jc.perturb.realised_norm(mdp(), x(), "3"), says("norm must be one of")),
        (
            "sphere",
            lambda: jc.perturb.sphere(KEY, mdp(), size=1e200, count=2, norm="2"),
            {"finds": lambda found: same(found.norms, 1e200, rtol=1e-12)},
        ),
        (
            "hot soft minimum",
            lambda: [jc.aggregate.soft_min(three(), t) for t in (1e8, 1e16, 1e300)],
            {"finds": lambda found: same(found, [jnp.mean(three(), axis=0)] * 3, atol=1e-7)},
        ),
        (
            "cold soft minimum",
            lambda: jc.aggregate.soft_min(three(), 1e-6),
            {"finds": lambda found: same(found, jnp.min(three(), axis=0), atol=2e-6)},
        ),
        (
            "soft minimum in float32",
            lambda: jc.aggregate.soft_min(three().astype(jnp.float32), 1e38),
            {"finds": lambda found: same(found, jnp.mean(three(), axis=0), atol=1e-6)},
        ),
        (
            "too hot for float32",
            lambda: jc.aggregate.soft_min(three().astype(jnp.float32), 1e300),
            says("the strength must be one positive number that float32 can hold"),
        ),
        (
            "slopes of the soft minimum",
            lambda: [
                jc.aggregate.lipschitz(lambda r, t=t: jc.aggregate.soft_min(r, t), three()) for t in (1e-6, 1e300)
            ],
            {"finds": lambda found: same(found, np.ones((2, S, A)), rtol=1e-9)},
        ),
        (
            "sharp gate",
            lambda: jc.aggregate.softmax_gate(jnp.asarray([[1.0], [2.0]]), 1e308),
            {"finds": lambda found: same(found, [[0.0], [1.0]])},
        ),
        (
            "NaN at a hard gate",
            lambda: jc.aggregate.hard_gate(jnp.asarray([[1.0, NAN], [2.0, 1.0]])),
            {"finds": lambda found: same(found, [[0.0, NAN], [1.0, NAN]])},
        ),
        (
            "NaN at a soft gate",
            lambda: jc.solve(mdp(), jc.aggregate.linear(three(), jc.aggregate.softmax_gate(jnp.full((3, S), NAN)))),
            {"status": Status.INVALID_REWARD},
        ),
        ("no sharpness", lambda: jc.aggregate.softmax_gate(jnp.ones((2, S)), np.inf), says("sharpness must be finite")),
        ("no rewards", lambda: jc.aggregate.worst_case(jnp.zeros((0, S, A))), says("several rewards have shape")),
        ("no weights", lambda: jc.aggregate.constant([]), says("weights must have shape")),
        ("aggregate of nothing", lambda: jc.aggregate.lipschitz(lambda r: 1.0, three()), says("aggregate must be a")),
        (
            "bumps, mapped",
            lambda: jax.vmap(lambda e: jc.perturb.bump(mdp(), jc.solve(mdp()).q_values, 0, 1, e).paper)(
                jnp.arange(1.0, 3)
            ),
            {"finds": lambda found: same(found, [1.9, 3.8])},
        ),
        (
            "bumps of mapped states",
            lambda: jax.vmap(lambda s: jc.perturb.bump(mdp(), jc.solve(mdp()).q_values, s, 1, 0.1).paper)(
                jnp.asarray([0, 99, -1])
            ),
            {"finds": lambda found: same(found, [0.19, NAN, NAN])},
        ),
    ],
)


@functools.cache
def datasets():
    """Finished studies, each to be drawn by figures of the others."""
    return {
        "phase_diagram": plan().to_dataset(),
        "ray": path().to_dataset(),
        "radius_distribution": census().to_dataset(),
        "soft_against_hard": jc.studies.soft_against_hard(mdp()),
    }


def _drawn(name, of):
    return lambda: getattr(jc.figures, name)(datasets().get(of, of))


FIGURES = named(
    "figure",
    [
        (f"{name} of {of}", _drawn(name, of), says("this figure draws a dataset made by jc."))
        for name, of in (
            ("phase_diagram", "phase_diagram"),  # a bare map, which lacks what the study adds
            ("phase_scan", "soft_against_hard"),
            ("weight_triangle", "radius_distribution"),
            ("flip_frequency", "soft_against_hard"),
            ("radius_distribution", "ray"),
            ("ray", "ray"),
            ("soft_against_hard", "a table"),
            ("temperature_curve", "phase_diagram"),
            ("aggregation_stability", "radius_distribution"),
        )
    ]
    + [
        (
            "axes",
            lambda: jc.figures.soft_against_hard(datasets()["soft_against_hard"], axes=[1, 2]),
            says("this figure draws on 1 axes of matplotlib, not on 2"),
        )
    ],
)

ROWS: list[Row] = [*KEYS, *RECORDS, *FAMILIES, *TRACED, *WHOLE, *NUMBERS, *HUGE, *FIGURES]


# What would be dropped on the way into an array, imaginary parts and masks, is refused wherever numbers come in.
DOORS = {
    "solve": lambda x: jc.solve(mdp(), x),
    "solve, tolerance": lambda x: jc.solve(mdp(), tolerance=x[0, :1]),
    "solve, init": lambda x: jc.solve(mdp(), init=x[:, 0]),
    "Entropy": lambda x: jc.solve(mdp(), regularizer=jc.Entropy(x[0, :1])),
    "Sparsemax": lambda x: jc.solve(mdp(), regularizer=jc.Sparsemax(x[0, :1])),
    "KL": lambda x: jc.solve(mdp(), regularizer=jc.KL(0.1, x)),
    "evaluate": lambda x: jc.evaluate(mdp(), x),
    "discount": lambda x: mdp().replace(discount=x[0, 0:1]),
    "reward": lambda x: mdp().replace(reward=x),
    "inverse_bellman": lambda x: jc.inverse_bellman(mdp(), x),
    "nearest_cliff": lambda x: jc.nearest_cliff(mdp(), x),
    "census": lambda x: jc.census(mdp(), np.ma.stack([x] * 8) if np.ma.isMaskedArray(x) else np.stack([x] * 8)),
    "cliffs_along": lambda x: jc.cliffs_along(mdp(), None, x),
    "policy_map": lambda x: jc.policy_map(mdp(), None, x, x),
    "repair": lambda x: jc.repair(mdp(), [0] * 4, x, gap=0.1),
    "flip_probability": lambda x: jc.flip_probability(mdp(), x),
    "features": lambda x: jc.family.features(x[None]),
    "linear": lambda x: jc.aggregate.linear(x[None], jc.aggregate.constant([1.0])),
    "posterior": lambda x: jc.aggregate.posterior(x[:, :1].T, x[:1, 0]),
    "softmax_gate": lambda x: jc.aggregate.softmax_gate(x, 1.0),
    "shaping": lambda x: jc.perturb.shaping(mdp(), potentials=x[:, 0]),
    "regret": lambda x: jc.metrics.regret(mdp(), x),
    "total_variation": lambda x: jc.metrics.total_variation(x, x),
    "studies.ray": lambda x: jc.studies.ray(mdp(), None, x),
}
MASKED = np.ma.masked_array(np.ones((4, 2)), mask=[[True, False]] * 4)
for name, door in DOORS.items():
    ROWS.append(Row(f"imaginary: {name}", functools.partial(door, np.ones((4, 2)) * 1j), says="must be real"))
    ROWS.append(Row(f"masked: {name}", functools.partial(door, MASKED), says="masked; fill or remove"))
