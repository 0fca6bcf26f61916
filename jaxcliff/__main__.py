"""`python -m jaxcliff` is the command `jaxcliff`."""

import sys

from jaxcliff.cli.main import command

if __name__ == "__main__":
    sys.exit(command())
