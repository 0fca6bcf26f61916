"""`jaxcliff gallery`: the paper's case studies, as figures, data and words."""

import argparse
import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """The command and its options."""
    gallery = commands.add_parser("gallery", help="the paper's case studies, as figures, data and words")
    gallery.set_defaults(run=run)
    gallery.add_argument("names", nargs="*", metavar="NAME", help="which case studies, such as lcpo (default: all)")
    gallery.add_argument("--out", default="gallery", help="folder to write (default: gallery)")
    gallery.add_argument("--seed", type=int, default=0, help="random seed (default: 0)")
    gallery.add_argument("--quick", action="store_true", help="learners at fewer places, fewer of them, and no PDFs")


def run(options: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Checks the options and writes the gallery."""
    if not 0 <= options.seed < 2**63:
        raise ValueError(f"the seed must be a number from 0 to 2^63 − 1, not {options.seed}")
    if not options.out.strip():
        raise ValueError("--out names the folder to write; it must not be empty")
    from jaxcliff.report import gallery

    for name in options.names:
        if name not in gallery.WRITTEN:
            near = difflib.get_close_matches(name, gallery.WRITTEN, 1)
            meant = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(gallery.WRITTEN)}"
            raise ValueError(f"there is no case study {name!r}{meant}")
    gallery.write(options.names, Path(options.out), seed=options.seed, quick=options.quick, say=say)
