"""Two processes of `jax.distributed`: each has geometry on a host device of its own."""

import socket
import subprocess
import sys

PROGRAM = """
import sys
import jax

jax.distributed.initialize(sys.argv[1], num_processes=2, process_id=int(sys.argv[2]), initialization_timeout=60)
assert jax.process_count() == 2 and jax.process_index() == int(sys.argv[2])
import jaxcliff as jc

mdp = jc.problems.chain(4)
near = jc.nearest_cliff(mdp)
path = jc.cliffs_along(mdp, None, [[1.0, 0.0]] * 4, stop=2.0)
print(f"{near.radius:.6f}", len(path.breakpoints), jc.solve(mdp).ok, flush=True)
"""


def test_every_process_has_a_host():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{found.getsockname()[1]}"
    several = [
        subprocess.Popen([sys.executable, "-c", PROGRAM, address, str(i)], stdout=subprocess.PIPE, text=True)
        for i in range(2)
    ]
    try:
        told = [one.communicate(timeout=120)[0].splitlines()[-1:] for one in several]
    finally:
        for one in several:
            one.kill()
    assert [one.returncode for one in several] == [0, 0]
    assert told[0] == told[1] != []
