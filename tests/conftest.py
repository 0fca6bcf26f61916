"""Strict mode for every test: four CPU devices, strict dtype promotion, checked shapes, printed seeds."""

import gc
import os
import pathlib

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Most of the suite's time is XLA's: workers, and the runs with 64-bit mode on and off, share what they compile.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(pathlib.Path(__file__).parents[1] / ".pytest_cache/xla"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_TRACEBACK_IN_LOCATIONS_LIMIT", "0")

import jax
import jaxtyping

# Before jaxcliff is imported: every annotated function and shape is checked under pytest, and only there.
jaxtyping.install_import_hook("jaxcliff", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")

import hypothesis
import jax.numpy as jnp
import numpy as np
import pytest

jax.config.update("jax_numpy_dtype_promotion", "strict")
X64 = jax.config.jax_enable_x64
MAPS = 40_000
# fmt: off
LONGEST = (
    "transformations", "derivatives", "verdicts", "three_maps", "regularizers", "slices", "studies", "notebooks",
    "hostile", "readme", "maps", "radius", "rays", "scan", "soft_bounds",
)
# fmt: on

hypothesis.settings.register_profile(
    "ci", deadline=None, derandomize=True, max_examples=25, print_blob=True, database=None
)
hypothesis.settings.load_profile("ci")


@pytest.fixture(
    params=[
        pytest.param(jnp.float32, marks=pytest.mark.slow if X64 else ()),
        pytest.param(jnp.float64, marks=pytest.mark.skipif(not X64, reason="x64")),
    ]
)
def dtype(request):
    """float64 where JAX's switch allows it, else float32; float32 under the switch too among the slow tests."""
    return jnp.dtype(request.param)


@pytest.fixture
def rng(request):
    """A generator whose seed belongs to the test and is printed when the test fails."""
    seed = sum(request.node.nodeid.encode()) + 7919 * len(request.node.nodeid)
    print(f"seed of {request.node.nodeid}: {seed}")
    return np.random.default_rng(seed)


@pytest.fixture
def fresh_programs():
    """Compiled solvers are forgotten before and after: for tests that change a number which is compiled in."""
    from jaxcliff.solvers.blocks import PROGRAMS
    from jaxcliff.solvers.lanes import compiled

    def forget():
        compiled.cache_clear()
        PROGRAMS.clear()

    forget()
    yield
    forget()


as_users_run = pytest.mark.skipif(
    "optimization_level=0" in os.environ["XLA_FLAGS"],
    reason="with XLA's optimisations off an exponential may round differently in batches of other sizes",
)
needs_x64 = pytest.mark.skipif(not X64, reason="needs 64-bit mode")
any_mode = pytest.mark.skipif(not X64, reason="in float32 in either mode: seen with 64-bit mode on")


@pytest.fixture(autouse=True, scope="module")
def _memory_maps():
    """Every compiled program holds a few memory maps, and XLA crashes where Linux allows no more (65,530 a process)."""
    yield
    maps = pathlib.Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > MAPS:
        from jaxcliff.solvers.blocks import PROGRAMS

        PROGRAMS.clear()
        jax.clear_caches()


def pytest_collection_finish():
    """What lives to the end is not looked through again and again for garbage: tracing allocates much."""
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def pytest_collection_modifyitems(items):
    """A file runs on one worker, where its tests share what was traced; the longest come first."""
    rank = {f"test_{name}": i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))
