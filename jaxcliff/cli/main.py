"""The command `jaxcliff`: finds the command that is meant, and ends as a command should, whatever happens."""

import argparse
import contextlib
import os
import platform
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxcliff.cli import atlas, audit, gallery, info, plot, run, verify
from jaxcliff.core.version import __version__

MISTAKE, UNFINISHED, INTERRUPTED = 2, 3, 130  # exit statuses: another try as it is may help after the second


def command() -> int:
    """`main` as a process of its own. Ctrl-C ends it at once: an exception raised within XLA could be swallowed."""

    def end(number: int, frame: Any) -> None:
        sys.stdout.flush()
        os._exit(_interrupted())

    signal.signal(signal.SIGINT, end)
    return main()


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit status. A mistake of the user's gets a sentence, not a stack trace."""
    parser = argparse.ArgumentParser(prog="jaxcliff", description="Where optimal policies jump when rewards change.")
    parser.add_argument("--version", action="version", version=f"jaxcliff {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    for each in (atlas, audit, gallery, run, plot, info, verify):
        each.add(commands)
    options = parser.parse_args(arguments)
    try:
        import jax

        _remember_compiled()
        with jax.enable_x64(True):
            return options.run(options, say) or 0
    except (ValueError, OSError) as error:
        encoding = sys.stderr.encoding or "utf-8"
        # One line, also where numbers are printed in several; and a line each where there are several mistakes.
        said = "\n".join(getattr(error, "lines", [" ".join(str(error).split())]))
        print(f"jaxcliff: {said}".encode(encoding, "backslashreplace").decode(encoding), file=sys.stderr)
        return UNFINISHED if getattr(error, "unfinished", False) else MISTAKE
    except KeyboardInterrupt as error:
        return _interrupted(str(error))


def _interrupted(said: str = "") -> int:
    print(f"\njaxcliff: {said or 'interrupted; what was finished is kept'}", file=sys.stderr, flush=True)
    return INTERRUPTED


def _remember_compiled() -> None:
    """What is compiled is kept for the next run, unless JAX was told where: compiling takes half of the first."""
    import jax

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        # Per machine: a compiled program is for one processor, a home directory can be shared by many.
        home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "jaxcliff" / platform.node()
        with contextlib.suppress(OSError):
            home.mkdir(parents=True, exist_ok=True)
            jax.config.update("jax_compilation_cache_dir", str(home))
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


def say(text: str) -> None:
    """Prints what a terminal of any encoding can show."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)
