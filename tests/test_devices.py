"""Several devices, several threads: nothing waits for itself, and what would make it wait is in no program."""

import os
import re
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import pytest

import jaxcliff as jc
from tests.conftest import X64

LIMIT = 240  # seconds; what hangs never ends


def batched_calls(function, *args):
    """The LAPACK calls of a CPU program that have a batch axis."""
    text = jax.jit(function).lower(*args).as_text()
    calls = re.findall(r"custom_call @(lapack_\w+)\(.*?: \((.*?)\) ->", text)
    return [call for call, operands in calls if any(shape.count("x") > 2 for shape in re.findall(r"<(.*?)>", operands))]


def garnet(**options):
    return jc.problems.garnet(jax.random.key(0), states=6, actions=3, branching=3, **options)


def programs():
    mdp, proper = garnet(), jc.problems.gambler(6)
    rewards = jnp.stack([mdp.reward] * 3)
    policy = jnp.full((3, 6, 3), 1 / 3, mdp.dtype)
    base, soft = jc.factorize(mdp), jc.Entropy(0.1)
    smooth = jc.factorize(mdp, regularizer=soft)
    stack = jax.tree.map(lambda x: jnp.stack([x] * 3), mdp)
    return {
        "hard": (lambda r: jc.solve(mdp, r, method="policy_iteration").values, rewards),
        "pinned": (lambda r: jc.solve(proper, r, method="policy_iteration").values, proper.reward[None]),
        "dense": (lambda r: jc.solve(garnet(dense=True), r, method="policy_iteration").values, rewards),
        "soft": (lambda r: jc.solve(mdp, r, regularizer=soft, method="policy_iteration").values, rewards),
        "around a base": (lambda r: jc.solve(mdp, r, base=base).values, rewards),
        "soft around a base": (lambda r: jc.solve(mdp, r, regularizer=soft, base=smooth).values, rewards),
        "mapped": (jax.vmap(lambda r: jc.solve(mdp, r, regularizer=soft, method="policy_iteration").values), rewards),
        "mapped problems": (jax.vmap(lambda m: jc.solve(m, method="policy_iteration").values), stack),
        "mapped bases": (jax.vmap(lambda m: jc.solve(m, base=jc.factorize(m)).values), stack),
        "evaluation": (lambda p: jc.evaluate(mdp, p, method="policy_iteration").values, policy),
        "occupancy": (lambda p: jc.occupancy(mdp, p), policy),
        "regret": (lambda p: jc.metrics.regret(mdp, p), policy),
        "gradient": (jax.grad(lambda r: jc.solve(mdp, r, regularizer=soft).policy[..., 0].sum()), rewards),
        "mapped gradient": (jax.vmap(jax.grad(lambda r: jc.solve(mdp, r).values.sum())), rewards),
        "forward": (jax.jacfwd(lambda g: jc.solve(mdp.replace(discount=g), rewards).values), mdp.discount),
        "slopes": (jax.vmap(lambda r: jc.soft_jacobian(mdp, jc.solve(mdp, r, regularizer=soft)).apply(r)), rewards),
    }


PROGRAMS = programs() if X64 else {}


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_cpu_program_holds_a_batched_lapack_call(name):
    function, *args = PROGRAMS[name]
    assert batched_calls(function, *args) == []


def test_the_reader_of_programs_sees_such_calls():
    many = jnp.eye(3) + jnp.zeros((4, 3, 3))
    assert batched_calls(jnp.linalg.inv, many)
    assert batched_calls(jax.vmap(jax.vmap(jnp.linalg.inv)), many[None])
    assert batched_calls(jnp.linalg.inv, many[0]) == []


PROGRAM = """
    import threading, jax, jax.numpy as jnp, jaxcliff as jc
    from jax.sharding import AxisType, PartitionSpec

    mdp = jc.problems.garnet(jax.random.key(0), states=16, branching=4)
    rewards = jc.perturb.gaussian(jax.random.key(1), mdp, 0.3, 200).rewards
    soft = jc.Entropy(0.1)
    policies = jc.solve(mdp, rewards, regularizer=soft).policy
    direct = {"method": "policy_iteration"}
    questions = {
        "soft": (lambda r: jc.solve(mdp, r, regularizer=soft, **direct).q_values, rewards),
        "hard": (lambda r: jc.solve(mdp, r, **direct).q_values, rewards),
        "evaluate": (lambda p: jc.evaluate(mdp, p, **direct).values, policies),
        "occupancy": (lambda p: jc.occupancy(mdp, p), policies),
        "regret": (lambda p: jc.metrics.regret(mdp, p), policies),
        "gradient": (jax.grad(lambda r: jc.solve(mdp, r, regularizer=soft, **direct).values.sum()), rewards),
    }
    mesh = jax.make_mesh((jax.device_count(),), ("lanes",), axis_types=(AxisType.Auto,))
    spec = PartitionSpec("lanes")
    alone = {name: jax.jit(f)(x) for name, (f, x) in questions.items()}
    for name, (f, x) in questions.items():
        spread = jax.jit(jax.shard_map(f, mesh=mesh, in_specs=spec, out_specs=spec))
        for _ in range(3):
            assert jnp.allclose(spread(x), alone[name], atol=1e-8), name
        compiled = jax.jit(f)

        def ask():
            for _ in range(3):
                compiled(x).block_until_ready()

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
    print("all came back")
"""


@pytest.mark.skipif(not X64, reason="the same programs")
@pytest.mark.parametrize("devices", [2, 8])
def test_solves_on_several_devices_and_threads_come_back(devices):
    flags = re.sub(r"--xla_force_host_platform_device_count=\d+", "", os.environ["XLA_FLAGS"])
    environment = os.environ | {
        "XLA_FLAGS": f"{flags} --xla_force_host_platform_device_count={devices}",
        "JAX_ENABLE_X64": "1",
    }
    program = [sys.executable, "-c", textwrap.dedent(PROGRAM)]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.stdout == "all came back\n", done.stderr
