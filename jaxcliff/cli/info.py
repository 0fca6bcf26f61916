"""`jaxcliff info`: what a store is and how complete; without one, what there is to compute with."""

import argparse
import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """The command and its options."""
    info = commands.add_parser(
        "info", help="what a store is and how complete; without one: devices, precision, versions"
    )
    info.set_defaults(run=run)
    info.add_argument("store", nargs="?", help="a folder that jaxcliff run has written")


def run(options: argparse.Namespace, say: Callable[[str], None]) -> None:
    """One fact a line."""
    for name, fact in _machine() if options.store is None else _of(Path(options.store)):
        say(f"{name + ':':<14}{fact}")


def _machine() -> list[tuple[str, Any]]:
    import jax
    import numpy
    import xarray
    import zarr

    from jaxcliff.core import devices
    from jaxcliff.core.version import __version__

    kinds: dict[str, int] = {}
    for device in jax.devices():
        kinds[device.device_kind] = kinds.get(device.device_kind, 0) + 1
    several = [jax, numpy, xarray, zarr]
    return [
        ("jaxcliff", __version__),
        ("devices", ", ".join(f"{count} × {kind}" for kind, count in kinds.items()) + f" ({jax.default_backend()})"),
        ("cores", devices.cores()),
        ("precision", "float64 on the command line unless a file says float64 = false; float32 in Python unless asked"),
        ("python", f"{platform.python_version()} on {platform.platform(terse=True)}"),
        ("versions", ", ".join(f"{each.__name__} {each.__version__}" for each in several)),
    ]


def _of(path: Path) -> list[tuple[str, Any]]:
    from jaxcliff.sweep import store as stores

    ds = stores.open_finished(path)
    facts: list[tuple[str, Any]] = [
        (name, ds.attrs[name]) for name in ("study", "map", "problem", "made") if name in ds.attrs
    ]
    facts += [("jaxcliff", ds.attrs.get("jaxcliff", "?")), ("seed", ds.attrs.get("seed", "none"))]
    facts.append(("axes", ", ".join(f"{name} {size}" for name, size in ds.sizes.items())))
    if stores.DESCRIPTION not in ds.attrs:
        return [*facts, ("complete", "yes (written at once)")]
    store = stores.Store(path)
    marked, damaged = store.marked(), store.damaged()
    points = store.description["points"]
    facts.append(("points", f"{points:,} in {marked.size} chunks"))
    facts.append(("complete", "yes" if marked.all() else f"{marked.mean():.1%}, {int((~marked).sum())} chunks to come"))
    facts += [("damaged", f"{file}; run again to compute its chunk") for _, file in damaged]
    for name in ("status_max", "status"):
        if name in ds:
            bad = int((ds[name].where(ds.done) > 0).sum())
            facts.append(("failed", f"{bad} entries with a status" if bad else "nothing"))
            break
    lines = list(store.history())
    chunks = [line for line in lines if "chunk" in line]
    if chunks:
        hosts = sorted({line["host"] for line in chunks})
        seconds = sum(line.get("seconds", 0) for line in chunks)
        facts.append(
            (
                "computed",
                f"{chunks[0]['time'][:19]} to {chunks[-1]['time'][:19]}, {seconds:,.0f} s on {', '.join(hosts)}",
            )
        )
        facts.append(("runs", sum("began" in line for line in lines)))
    facts.append(("settings", json.dumps(store.description["configuration"]["settings"])))
    return facts
