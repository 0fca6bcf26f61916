"""Several devices, several threads: nothing waits for itself, and what would make it wait is in no program."""

import functools
import os
import re
import subprocess
import sys
import textwrap
import types

import jax
import jax.numpy as jnp
import pytest

import jaxcliff as jc
from tests.conftest import needs_x64

LIMIT = 240  # seconds; what hangs never ends


def batched_calls(function, *args):
    """The LAPACK calls of a CPU program that have a batch axis."""
    text = jax.jit(function).lower(*args).as_text()
    calls = re.findall(r"custom_call @(lapack_\w+)\(.*?: \((.*?)\) ->", text)
    return [call for call, operands in calls if any(shape.count("x") > 2 for shape in re.findall(r"<(.*?)>", operands))]


def garnet(**options):
    return jc.problems.garnet(jax.random.key(0), states=6, actions=3, branching=3, **options)


@functools.cache
def problems():
    mdp, soft = garnet(), jc.Entropy(0.1)
    return types.SimpleNamespace(
        mdp=mdp,
        soft=soft,
        proper=jc.problems.gambler(6),
        rewards=jnp.stack([mdp.reward] * 3),
        policy=jnp.full((3, 6, 3), 1 / 3, mdp.dtype),
        base=jc.factorize(mdp),
        smooth=jc.factorize(mdp, regularizer=soft),
        stack=jax.tree.map(lambda x: jnp.stack([x] * 3), mdp),
    )


DIRECT = {"method": "policy_iteration"}
# Of some problems: a function, and what it is called with.
PROGRAMS = {
    "hard": lambda p: (lambda r: jc.solve(p.mdp, r, **DIRECT).values, p.rewards),
    "pinned": lambda p: (lambda r: jc.solve(p.proper, r, **DIRECT).values, p.proper.reward[None]),
    "dense": lambda p: (lambda r: jc.solve(garnet(dense=True), r, **DIRECT).values, p.rewards),
    "soft": lambda p: (lambda r: jc.solve(p.mdp, r, regularizer=p.soft, **DIRECT).values, p.rewards),
    "around a base": lambda p: (lambda r: jc.solve(p.mdp, r, around=p.base).values, p.rewards),
    "soft around a base": lambda p: (
        lambda r: jc.solve(p.mdp, r, regularizer=p.soft, around=p.smooth).values,
        p.rewards,
    ),
    "mapped": lambda p: (jax.vmap(lambda r: jc.solve(p.mdp, r, regularizer=p.soft, **DIRECT).values), p.rewards),
    "mapped problems": lambda p: (jax.vmap(lambda m: jc.solve(m, **DIRECT).values), p.stack),
    "mapped bases": lambda p: (jax.vmap(lambda m: jc.solve(m, around=jc.factorize(m)).values), p.stack),
    "evaluation": lambda p: (lambda pi: jc.evaluate(p.mdp, pi, **DIRECT).values, p.policy),
    "occupancy": lambda p: (lambda pi: jc.occupancy(p.mdp, pi), p.policy),
    "regret": lambda p: (lambda pi: jc.metrics.regret(p.mdp, pi), p.policy),
    "gradient": lambda p: (
        jax.grad(lambda r: jc.solve(p.mdp, r, regularizer=p.soft).policy[..., 0].sum()),
        p.rewards,
    ),
    "mapped gradient": lambda p: (jax.vmap(jax.grad(lambda r: jc.solve(p.mdp, r).values.sum())), p.rewards),
    "forward": lambda p: (
        jax.jacfwd(lambda g: jc.solve(p.mdp.replace(discount=g), p.rewards).values),
        p.mdp.discount,
    ),
    "slopes": lambda p: (
        jax.vmap(lambda r: jc.soft_jacobian(p.mdp, jc.solve(p.mdp, r, regularizer=p.soft)).apply(r)),
        p.rewards,
    ),
}


@needs_x64
@pytest.mark.parametrize("program", PROGRAMS)
def test_no_cpu_program_holds_a_batched_lapack_call(program):
    function, *args = PROGRAMS[program](problems())
    assert batched_calls(function, *args) == []


def test_the_reader_of_programs_sees_such_calls():
    many = jnp.eye(3) + jnp.zeros((4, 3, 3))
    assert batched_calls(jnp.linalg.inv, many)
    assert batched_calls(jax.vmap(jax.vmap(jnp.linalg.inv)), many[None])
    assert batched_calls(jnp.linalg.inv, many[0]) == []


PROGRAM = """
    import sys, threading, jax, jax.numpy as jnp, jaxcliff as jc
    from jax.sharding import AxisType, PartitionSpec

    mdp = jc.problems.garnet(jax.random.key(0), states=16, branching=4)
    rewards = jc.perturb.gaussian(jax.random.key(1), mdp, sigma=0.3, count=200).rewards
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
    questions = {name: questions[name] for name in sys.argv[1:]}
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


@needs_x64
@pytest.mark.parametrize(
    ("devices", "questions"),
    [
        (2, ("soft", "evaluate", "gradient")),  # Newton's systems, a policy's, and the transposed ones
        pytest.param(8, ("soft", "hard", "evaluate", "occupancy", "regret", "gradient"), marks=pytest.mark.slow),
    ],
)
def test_solves_on_several_devices_and_threads_come_back(devices, questions):
    flags = re.sub(r"--xla_force_host_platform_device_count=\d+", "", os.environ["XLA_FLAGS"])
    environment = os.environ | {
        "XLA_FLAGS": f"{flags} --xla_force_host_platform_device_count={devices}",
        "JAX_ENABLE_X64": "1",
    }
    program = [sys.executable, "-c", textwrap.dedent(PROGRAM), *questions]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.stdout == "all came back\n", done.stderr
