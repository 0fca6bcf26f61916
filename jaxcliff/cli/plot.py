"""`jaxcliff plot`: the figure of a store, finished or not."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """The command and its options."""
    plot = commands.add_parser("plot", help="the figure of a store, finished or not")
    plot.set_defaults(run=run)
    plot.add_argument("store", help="a folder that jaxcliff run has written")
    plot.add_argument("--out", help="the file to write, .png, .pdf or .svg (default: the store's name, .png and .pdf)")


def run(options: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Draws what the store holds."""
    from jaxcliff import figures
    from jaxcliff.sweep import store as stores

    store = Path(options.store)
    ds = stores.open_finished(store)
    name = str(ds.attrs.get("study", "")).replace(" ", "_")
    if not hasattr(figures, name):
        raise ValueError(f"{store} holds no study that has a figure: {name or 'its study is not said'!r}")
    drawn = getattr(figures, name)(ds.load())
    stem = store.with_suffix("") if store.suffix in (".zarr", ".store") else store
    files = [Path(options.out)] if options.out else [stem.with_name(f"{stem.name}{end}") for end in (".png", ".pdf")]
    for file in files:
        try:
            drawn.savefig(file, dpi=300)
        except ValueError as error:
            raise ValueError(f"cannot write {file}: {error}") from None
    if "done" in ds and not bool(ds.done.all()):
        say(f"unfinished: {float(ds.done.mean()):.1%} of the points")
    say(", ".join(map(str, files)))
