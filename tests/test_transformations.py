"""The contracts of `solve` under JAX: any lane axes, jit, vmap, shard_map, export; lanes that do not disturb."""

import functools
import itertools

import chex
import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

import jaxcliff as jc
from jaxcliff.core.loop import iterate
from jaxcliff.solvers import blocks
from jaxcliff.solvers import lanes as lanes_module
from tests.cases import ACTIONS, GARNET, KINDS, LANES, STATES, STRUCTURE_METHODS, STRUCTURES, lanes
from tests.conftest import X64, as_users_run
from tests.geometry import kinds

F32 = jnp.dtype(jnp.float32)


def check_agree(one, other):
    """Same statuses up to converged/floor, bounds that overlap, no decision certain in two ways."""
    np.testing.assert_array_equal(one.ok, other.ok)
    reach = (np.asarray(one.error_bound) + np.asarray(other.error_bound))[..., None]
    ok = np.asarray(one.ok)
    assert (np.abs(np.asarray(one.values) - np.asarray(other.values)) <= reach)[ok].all()
    a, b = jc.optimal_actions(one), jc.optimal_actions(other)
    assert not (np.asarray(a.optimal) & np.asarray(b.suboptimal)).any()
    assert not (np.asarray(a.suboptimal) & np.asarray(b.optimal)).any()


def draw(name, rng, dtype=F32, count=LANES):
    mdp = KINDS[name].draw(rng, dtype)
    return mdp, lanes(rng, mdp, count)


@pytest.mark.parametrize("name", kinds(STRUCTURES))
def test_every_case_under_jit_vmap_and_lane_axes(name, rng):
    """Every kind meets every contract once, its methods taking turns."""
    mdp, rewards = draw(name, rng)
    whole = {m: jc.solve(mdp, rewards, method=m) for m in KINDS[name].methods}
    turns = itertools.cycle(KINDS[name].methods)

    method = next(turns)
    check_agree(whole[method], jax.jit(lambda m, r: jc.solve(m, r, method=method))(mdp, rewards))
    method = next(turns)
    check_agree(whole[method], jax.vmap(lambda r: jc.solve(mdp, r, method=method))(rewards))
    method = next(turns)
    shaped = jc.solve(mdp, rewards.reshape(2, 1, 2, *rewards.shape[1:]), method=method)
    assert shaped.status.shape == (2, 1, 2)
    check_agree(whole[method][3], shaped[1, 0, 1])
    check_agree(whole[method], jax.tree.map(lambda x: x.reshape(LANES, *x.shape[3:]), shaped))
    method = next(turns)
    check_agree(whole[method][2], jc.solve(mdp, rewards[2], method=method))


def test_vmap_of_vmap_folds_into_one_call(rng):
    mdp, rewards = draw("garnet", rng)
    stacked = rewards.reshape(2, 2, *rewards.shape[1:])
    nested = jax.vmap(jax.vmap(lambda r: jc.solve(mdp, r)))(stacked)
    check_agree(jc.solve(mdp, stacked), nested)
    text = str(jax.make_jaxpr(jax.vmap(jax.vmap(lambda r: jc.solve(mdp, r))))(stacked))
    assert "4,8,8" in text, "lanes should be flattened into one batch of 4 systems of 8 × 8"


def test_vmap_over_problems_and_over_discounts(rng):
    problems = [KINDS["dense"].draw(rng, F32) for _ in range(3)]
    stacked = jax.tree.map(lambda *xs: jnp.stack(xs), *problems)
    many = jax.vmap(jc.solve)(stacked)
    for i, mdp in enumerate(problems):
        check_agree(many[i], jc.solve(mdp))
    mdp = problems[0]
    discounts = jnp.asarray([0.0, 0.5, 0.9, 0.99], jnp.float32)
    swept = jax.vmap(lambda g: jc.solve(mdp.replace(discount=g)))(discounts)
    for i, g in enumerate(discounts):
        check_agree(swept[i], jc.solve(mdp.replace(discount=g)))
    both = jax.vmap(lambda m: jax.vmap(lambda r: jc.solve(m, r))(m.reward + jnp.ones((2, 1, 1), jnp.float32)))
    assert both(stacked).ok.all()


def test_a_traced_discount_outside_its_range_is_a_status():
    mdp = jc.problems.garnet(jax.random.key(0), **GARNET)
    sol = jax.vmap(lambda g: jc.solve(mdp.replace(discount=g)))(jnp.asarray([0.9, 1.0, -0.1, jnp.nan], mdp.dtype))
    assert sol.status.tolist() == [jc.Status.CONVERGED, *[jc.Status.NOT_A_CONTRACTION] * 3]
    assert jnp.isnan(sol.values[1:]).all()
    assert jnp.isfinite(sol.values[0]).all()


def ending(chance, dtype=jnp.float32):
    """One decision that ends the episode with a chance; the expected length at discount 1 is 1/chance."""
    return jnp.stack([jnp.stack([1 - chance, chance])[None], jnp.asarray([[0, 1]], dtype)])


def test_a_horizon_never_outlives_its_transitions():
    """At discount 1 a problem whose transitions changed inside a transformation is refused, not guessed."""
    mdp = jc.MDP(jc.Dense(ending(jnp.float32(0.5))), jnp.asarray([[1], [0]], jnp.float32), 1.0, terminal=[False, True])
    for method in KINDS["proper"].methods:

        def solve(chance, method=method):
            return jc.solve(mdp.replace(transitions=jc.Dense(ending(chance))), method=method)

        moved = jax.jit(solve)(jnp.float32(0.01))
        assert moved.status == jc.Status.NOT_A_CONTRACTION
        assert jnp.isnan(moved.values).all()
    kept = jax.jit(lambda r: jc.solve(mdp.replace(reward=r)))(mdp.reward * 3)
    np.testing.assert_allclose(kept.values, [6, 0], atol=float(kept.error_bound))
    discounted = jax.jit(lambda g: jc.solve(mdp.replace(discount=g)))(jnp.float32(0.5))
    np.testing.assert_allclose(discounted.values, [4 / 3, 0], atol=float(discounted.error_bound))


def test_a_traced_model_that_is_no_distribution_is_a_status():
    mdp = jc.problems.garnet(jax.random.key(0), **GARNET, dense=True)
    p = mdp.transitions.probabilities
    solve = jax.jit(lambda p: jc.solve(jc.MDP(jc.Dense(p), mdp.reward, mdp.discount)))
    assert solve(p).ok
    for broken in (2 * p, p * jnp.nan):
        sol = solve(broken)
        assert not sol.ok
        assert jnp.isnan(sol.values).all()


@pytest.mark.parametrize("name", STRUCTURES)
def test_under_shard_map_with_varying_axes_checked(name, rng):
    mdp, rewards = draw(name, rng)
    mesh = jax.make_mesh((4,), ("x",), axis_types=(AxisType.Auto,))
    spec = PartitionSpec("x")
    direct, mapped = KINDS[name].methods[:2]

    def solve(r):
        return jc.solve(mdp, r, method=direct)

    def solve_one(r):
        return jc.solve(mdp, r, method=mapped)

    sharded = jax.shard_map(solve, mesh=mesh, in_specs=spec, out_specs=spec)
    check_agree(jc.solve(mdp, rewards, method=direct), jax.jit(sharded)(rewards))
    sharded = jax.shard_map(jax.vmap(solve_one), mesh=mesh, in_specs=spec, out_specs=spec)
    check_agree(jc.solve(mdp, rewards, method=mapped), jax.jit(sharded)(rewards))


def test_sharded_loops_need_no_communication(rng):
    mdp, rewards = draw("garnet", rng)
    mesh = jax.make_mesh((4,), ("x",), axis_types=(AxisType.Auto,))
    spec = PartitionSpec("x")
    for method in KINDS["garnet"].methods:
        run = jax.shard_map(
            lambda r, method=method: jc.solve(mdp, r, method=method), mesh=mesh, in_specs=spec, out_specs=spec
        )
        text = jax.jit(run).lower(rewards).compile().as_text()
        assert "all-reduce" not in text
        assert "all-gather" not in text


def test_a_second_batch_of_the_same_shape_compiles_nothing(rng):
    mdp, rewards = draw("masked", rng)
    other, more = draw("masked", rng)
    renamed = other.replace(labels=jc.Labels([f"s{i}" for i in range(STATES)], list("abc")))
    jc.solve(mdp, rewards)
    before = len(blocks.PROGRAMS)
    assert before > 0
    jc.solve(mdp, more)
    jc.solve(renamed, more)
    jc.solve(mdp, rewards, tolerance=1e-3)
    assert len(blocks.PROGRAMS) == before
    jc.solve(mdp, rewards[:2])
    assert len(blocks.PROGRAMS) == before + 1


def test_a_jitted_function_of_problems_is_traced_once(rng):
    """Labels, tolerances and numbers of another problem are no other structure."""
    mdp, rewards = draw("masked", rng)
    other, more = draw("masked", rng)
    renamed = other.replace(labels=jc.Labels([f"s{i}" for i in range(STATES)], list("abc")))
    solve = jax.jit(chex.assert_max_traces(lambda m, r, t: jc.solve(m, r, tolerance=t).values, n=1))
    first = solve(mdp, rewards, 1e-3)
    solve(other, more, 1e-4)
    chex.assert_trees_all_equal(solve(other, more, 1e-3), solve(renamed, more, 1e-3))
    chex.assert_trees_all_equal(first, solve(mdp, rewards, 1e-3))


@pytest.mark.parametrize(("name", "method"), STRUCTURE_METHODS)
def test_a_lane_never_depends_on_its_neighbours(name, method, rng):
    """Same shapes: the same bits, whatever the other lanes hold."""
    mdp, rewards = draw(name, rng)
    calm = jc.solve(mdp, jnp.stack([rewards[1]] * 4), method=method)[2]
    loud = [rewards[0] * jnp.nan, rewards[3] * 1e30, rewards[1], rewards[2] * 1e-30]
    mixed = jc.solve(mdp, jnp.stack(loud), method=method)
    chex.assert_trees_all_equal(jax.device_get(calm), jax.device_get(mixed[2]))
    assert mixed.status[0] == jc.Status.INVALID_REWARD
    assert not bool(mixed.ok[0])
    assert mixed.ok[2]


def test_a_lane_that_has_finished_stands_still():
    stop = jnp.asarray([2, 5])
    state, finished, count = iterate(lambda x: (x + 1, x + 1 >= stop), 0 * stop, stop < 0, 10)
    assert (state.tolist(), finished.tolist(), count.tolist()) == ([2, 5], [True, True], [2, 5])


def test_a_failed_lane_says_so_everywhere(rng):
    mdp, rewards = draw("masked", rng, count=3)
    bad = rewards.at[1, 0, 1].set(jnp.inf)
    sol = jc.solve(mdp, bad)
    assert sol.ok.tolist() == [True, False, True]
    assert jnp.isnan(sol.values[1]).all()
    assert jnp.isposinf(sol.error_bound[1])
    assert jnp.isneginf(sol.q_values[1][~np.asarray(mdp.legal)]).all()
    acts = jc.optimal_actions(sol)
    np.testing.assert_array_equal(acts.undecided[1], mdp.legal)
    assert jnp.isnan(jc.policies.uniform(acts)[1]).all()
    assert jnp.isfinite(jc.policies.uniform(acts)[0]).all()
    assert "not finite" in sol.summary()
    assert "1 not ok" in repr(sol)


@pytest.mark.parametrize("regularizer", [None, jc.Entropy(0.2)], ids=["hard", "soft"])
@pytest.mark.parametrize("method", ["value_iteration", "shared"])
@as_users_run
def test_slow_lanes_keep_their_bits_whoever_was_quick(method, regularizer, rng):
    """Batches so large that the last lanes go on by themselves: the same lanes beside quick, and beside slow ones."""
    mdp = jc.problems.river_swim(9, discount=0.99)
    noise = rng.normal(size=(100, *mdp.reward.shape)) * rng.choice([1e-3, 1.0], size=(100, 1, 1))
    slow = mdp.reward + jnp.asarray(noise, mdp.dtype)
    quick = slow.at[20:].set(0)
    solve = functools.partial(jc.solve, mdp, method=method, regularizer=regularizer)
    one, other = solve(slow), solve(quick)
    assert one.ok.all()
    assert len(np.unique(np.asarray(one.iterations))) > 1
    for x, y in zip(jax.tree.leaves(one[:20]), jax.tree.leaves(other[:20]), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("regularizer", [None, jc.Entropy(0.2)], ids=["hard", "soft"])
@pytest.mark.parametrize("name", ["bandit", "tree"])
def test_a_broken_lane_of_a_single_pass_stays_alone(name, regularizer, rng):
    """Where every action is legal a pass reads rewards as they come, NaN and all."""
    mdp = KINDS[name].draw(rng, F32)
    rewards = lanes(rng, mdp, count=4)
    broken = rewards.at[1, 0, 0].set(jnp.nan).at[2, 0, 1].set(jnp.inf)
    sol, whole = (jc.solve(mdp, r, regularizer=regularizer) for r in (broken, rewards))
    assert [jc.Status(int(s)) for s in sol.status[1:3]] == [jc.Status.INVALID_REWARD] * 2
    for x, y in zip(jax.tree.leaves(sol), jax.tree.leaves(whole), strict=True):
        np.testing.assert_array_equal(np.asarray(x)[[0, 3]], np.asarray(y)[[0, 3]])


def test_many_problems_are_solved_in_groups(rng):
    """More problems than are mapped over at once, and no multiple of that number."""
    stack = [KINDS["masked"].draw(rng, F32).replace(legal=None, discount=jnp.float32(0.9)) for _ in range(3)]
    stack = [
        m.replace(transitions=jc.Dense(jnp.asarray(rng.dirichlet(np.ones(STATES), (STATES, ACTIONS)), F32)))
        for m in stack
    ] * 12
    stack = [m.replace(reward=jnp.asarray(rng.normal(size=(STATES, ACTIONS)), F32)) for m in stack[:35]]
    problems = jax.tree.map(lambda *x: jnp.stack(x), *stack)
    assert len(stack) > lanes_module.PROBLEMS
    values = jax.vmap(lambda m: jc.solve(m).values)(problems)
    for mdp, found in zip(stack, values, strict=True):
        sol = jc.solve(mdp)
        np.testing.assert_allclose(found, sol.values, atol=float(2 * sol.error_bound))


def test_valid_lanes_raise_no_nan(rng):
    """`debug_nans` stops at the first NaN that is computed anywhere."""
    with jax.debug_nans(True):
        for name in ("proper", "ending_tree"):
            kind = KINDS[name]
            mdp = kind.draw(rng, F32)
            rewards = jnp.stack([mdp.reward, mdp.reward * 0])
            for method in ("policy_iteration", kind.methods[-1]):
                acts = jc.optimal_actions(jc.solve(mdp, rewards, method=method))
                jc.policies.uniform(acts)
                assert acts.legal.any(), name


@pytest.mark.parametrize(("name", "method"), STRUCTURE_METHODS)
def test_every_method_exports_for_cpu_cuda_and_tpu(name, method, rng):
    mdp, rewards = draw(name, rng)
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), (mdp, rewards))
    arrays, structure = jax.tree.flatten(shapes)
    solve = jax.jit(lambda *xs: jax.tree.leaves(jc.solve(*jax.tree.unflatten(structure, xs), method=method)))
    exported = jax.export.export(solve, platforms=["cpu", "cuda", "tpu"])(*arrays)
    assert exported.platforms == ("cpu", "cuda", "tpu")
    again = jax.export.deserialize(exported.serialize()).call(*jax.tree.leaves((mdp, rewards)))
    np.testing.assert_array_equal(again[-2], jax.tree.leaves(jc.solve(mdp, rewards, method=method))[-2])


@pytest.mark.parametrize(("name", "method"), STRUCTURE_METHODS)
def test_every_contraction_has_full_precision(name, method, rng):
    mdp, rewards = draw(name, rng)
    found = []

    def walk(jaxpr):
        for equation in jaxpr.eqns:
            if equation.primitive.name == "dot_general":
                found.append(equation.params["precision"])
            for inner in jax.extend.core.jaxprs_in_params(equation.params):
                walk(inner)

    walk(jax.make_jaxpr(lambda r: jc.solve(mdp, r, method=method))(rewards).jaxpr)
    highest = jax.lax.Precision.HIGHEST
    assert all(p == (highest, highest) for p in found), found
    if method == "policy_iteration" or (name in ("dense", "masked") and method == "value_iteration"):
        assert found


def test_blocks_of_lanes_agree_with_one_block(rng, monkeypatch, fresh_programs):
    mdp, rewards = draw("dense", rng, count=7)
    whole = jc.solve(mdp, rewards)
    for module in (lanes_module, blocks):
        monkeypatch.setattr(module, "block_size", lambda stages, kind, mdp: 3)
    blocked = jc.solve(mdp, rewards)
    check_agree(whole, blocked)


def test_higher_precision_rewards_raise_the_precision(rng):
    mdp, rewards = draw("garnet", rng)
    sol = jc.solve(mdp, np.asarray(rewards, np.float64))
    assert sol.values.dtype == (jnp.float64 if X64 else jnp.float32)
    whole = jc.solve(mdp, np.ones(mdp.reward.shape, int))
    assert whole.ok
    assert whole.values.dtype == jnp.float32


def test_no_lanes_is_a_batch_too(rng):
    mdp, rewards = draw("garnet", rng)
    for method in KINDS["garnet"].methods:
        sol = jc.solve(mdp, rewards[:0], method=method)
        assert sol.values.shape == (0, mdp.num_states)


def test_a_warm_start_changes_speed_and_not_the_answer(rng):
    mdp, rewards = draw("river", rng)
    mdp = mdp.replace(discount=jnp.asarray(0.99).astype(F32))
    cold = jc.solve(mdp, rewards, method="value_iteration")
    warm = jc.solve(mdp, rewards, method="value_iteration", init=cold.values)
    check_agree(cold, warm)
    assert 2 * warm.iterations.max() < cold.iterations.max()
    broken = jc.solve(mdp, rewards, method="value_iteration", init=cold.values * jnp.nan)
    check_agree(cold, broken)


def test_an_iteration_limit_is_reported_with_a_bound_that_holds(rng):
    mdp, rewards = draw("dense", rng)
    mdp = mdp.replace(discount=jnp.asarray(0.99).astype(F32))
    short = jc.solve(mdp, rewards, method="value_iteration", max_iterations=2)
    assert (short.status == jc.Status.ITERATION_LIMIT).any()
    full = jc.solve(mdp, rewards)
    error = jnp.abs(short.values - full.values).max(-1)
    assert (error <= short.error_bound + full.error_bound).all()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda m: jc.solve(m, np.zeros((3, 3), np.float32)), "rewards must have shape"),
        (lambda m: jc.solve(m, method="simplex"), "one of value_iteration"),
        (lambda m: jc.solve(m, method="backward"), "does not fit a problem with Successors"),
        (lambda m: jc.solve(m, max_iterations=0), "at least 1"),
        (lambda m: jc.solve(m, max_iterations=2.5), "whole number"),
        (lambda m: jc.solve(m, tolerance=-1.0), "tolerance must not be negative"),
        (lambda m: jc.solve(jax.tree.map(lambda x: jnp.stack([x, x]), m)), "a stack of problems"),
        (lambda m: jc.solve(m, np.asarray(m.reward) * 1j), "rewards must be real"),
        (lambda m: jc.solve(m, init=np.zeros(3, np.float32)), "init must have shape"),
        (
            lambda m: jc.solve(m, tolerance=np.zeros(3, np.float32), rewards=jnp.zeros((2, 8, 3))),
            "do not align",
        ),
        (lambda m: jc.solve(m)[0], "one lane"),
        (lambda m: jc.solve(m, m.reward[None])[1], "out of bounds"),
    ],
)
def test_bad_calls_get_a_sentence(call, sentence, rng):
    mdp, _ = draw("garnet", rng)
    with pytest.raises((ValueError, IndexError), match=sentence):
        call(mdp)
