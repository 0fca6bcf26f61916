"""Which of some XLA flags this jaxlib knows: `python tests/xla_flags.py FLAG…` prints them. XLA aborts on others."""

import os
import subprocess
import sys


def known(flags: list[str]) -> list[str]:
    """Tried in processes of their own: all at once, and one by one only where that fails."""
    return list(flags) if accepted(flags) else [flag for flag in flags if accepted([flag])]


def accepted(flags: list[str]) -> bool:
    """Whether a backend starts with these flags."""
    environment = os.environ | {"XLA_FLAGS": " ".join(flags), "JAX_PLATFORMS": "cpu"}
    program = [sys.executable, "-c", "import jax; jax.devices()"]
    return subprocess.run(program, env=environment, capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    print(*known(sys.argv[1:]))
