"""Executors by name, and the place of this process among those that JAX knows of."""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import jax

from jaxcliff.core.devices import cores


@contextlib.contextmanager
def named(name: str) -> Iterator[Any]:
    """An executor of dask: "dask" is a cluster on this machine, tcp://… a scheduler that runs somewhere."""
    if name != "dask" and not re.match(r"^(tcp|tls|ucx|ws|wss|inproc)://", name):
        raise ValueError(f"the executor must be dask (this machine) or the address of a scheduler, not {name!r}")
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise ValueError("an executor of dask needs the package distributed: pip install 'jaxcliff[cluster]'") from None
    if name == "dask":
        options: dict[str, Any] = {"dashboard_address": None, "silence_logs": 40}
        with (
            LocalCluster(cores(), threads_per_worker=1, processes=True, **options) as cluster,
            Client(cluster) as client,
        ):
            yield client.get_executor()
        return
    try:
        client = Client(name, timeout=10)
    except OSError:
        raise ValueError(f"there is no scheduler at {name}") from None
    with client:
        yield client.get_executor()


def place(**where: Any) -> tuple[int, int]:
    """(i, n) of this process, from `jax.distributed`: TPU pods, GPU clusters and Slurm know their own settings.

    Nothing else is asked of it: on a processor and on GPUs it is shut down at once, so that one process that dies takes
    no other with it. `where` is what `jax.distributed.initialize` takes.
    """
    try:
        jax.distributed.initialize(**where)
    except (ValueError, RuntimeError) as error:
        what = str(error).splitlines()[0]
        raise ValueError(f"jax.distributed does not start ({what}); say which part this is: --shard 0/4") from None
    found = jax.process_index(), jax.process_count()
    if jax.default_backend() != "tpu":
        jax.distributed.shutdown()
    return found
