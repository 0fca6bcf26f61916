"""`jaxcliff run`: the study of a TOML file, into a store from which it goes on."""

import argparse
import contextlib
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """The command and its options."""
    run_ = commands.add_parser("run", help="the study of a TOML file, into a store from which it goes on")
    run_.set_defaults(run=run)
    run_.add_argument("file", nargs="?", help="the study; --example prints one")
    run_.add_argument("--example", metavar="STUDY", help="print a ready file of a study, such as response")
    change = {"action": "append", "default": [], "metavar": "PLACE=VALUE"}
    run_.add_argument("--set", help="another value, such as axes.strength.count=50 (several times)", **change)
    run_.add_argument("--store", help="the folder to keep the results in (default: as the file says)")
    run_.add_argument("--overwrite", action="store_true", help="begin anew where there is a store")
    run_.add_argument("--workers", type=int, help="so many processes of this machine")
    run_.add_argument("--executor", help="who computes: dask (this machine), or a scheduler, such as tcp://host:8786")
    run_.add_argument("--shard", help="compute only a part of the chunks, such as 0/4: the first of four")
    run_.add_argument("--distributed", action="store_true", help="the part that jax.distributed says (pods, Slurm)")
    run_.add_argument("--quiet", action="store_true", help="no progress")


def run(options: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Reads the file, then computes what is left of it."""
    from jaxcliff import config

    if options.example is not None:
        say(config.example(options.example).rstrip())
        return
    if options.file is None:
        raise ValueError("name a file, as in jaxcliff run study.toml; jaxcliff run --example response prints one")
    if options.shard is not None and options.distributed:
        raise ValueError("--distributed says which part this is; leave --shard out")
    part = None if options.shard is None else _part(options.shard)
    path = Path(options.file)
    given = config.read(path, dict(map(_change, options.set)))

    import jax

    with contextlib.ExitStack() as several:
        if options.distributed:
            from jaxcliff.sweep import executors

            part = executors.place()
        several.enter_context(jax.enable_x64(given.get("float64", True) is not False))
        study = config.understood(given, path.name, path.parent)
        store = Path(options.store) if options.store else study.store
        if study.sweeps:
            how: dict[str, Any] = {"store": store, "overwrite": options.overwrite, "progress": not options.quiet}
            how |= {"shard": part, "workers": options.workers}
            if options.executor is not None:
                from jaxcliff.sweep import executors

                how["executor"] = several.enter_context(executors.named(options.executor))
            ds = study.run(**how)
            done = float(ds.done.mean())
            left = "" if done == 1 else f"; {done:.1%} of the points are done, others are computed elsewhere"
        else:
            for name in ("shard", "distributed", "workers", "executor"):
                if getattr(options, name):
                    raise ValueError(f"--{name} divides a sweep, and {study.name} is none: it runs in one process")
            _whole(study, store, options.overwrite, say)
            left = ""
        say(f"{store}{left}; jaxcliff plot {store} draws it")


def _whole(study: Any, store: Path, overwrite: bool, say: Callable[[str], None]) -> None:
    """A study that is no sweep: computed at once, written at once."""
    from jaxcliff.sweep import store as stores

    if store.exists() and not overwrite:
        ds = stores.open_finished(store)
        lines = stores.differences(study.said, json.loads(ds.attrs.get("configuration", "{}")))
        if lines:
            raise ValueError(
                f"the store {store} holds something else: {'; '.join(lines[:5])}. Choose another, or --overwrite"
            )
        say("this is done already")
        return
    ds = study.run()
    ds.attrs["configuration"] = json.dumps(study.said)
    stores.write_finished(store, ds, overwrite)


def _change(text: str) -> tuple[str, Any]:
    """PLACE=VALUE, where the value is TOML's; a word may stand alone."""
    place, equals, value = text.partition("=")
    if not equals or not place.strip():
        raise ValueError(f"--set takes a place and a value, as in --set axes.strength.count=50, not {text!r}")
    try:
        return place.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return place.strip(), value.strip()


def _part(text: str) -> tuple[int, int]:
    first, slash, second = text.partition("/")
    if not (slash and first.strip().isdecimal() and second.strip().isdecimal()):
        raise ValueError(f"--shard takes a part and how many there are, such as 0/4, not {text!r}")
    if int(first) >= int(second):
        known = f"parts go from 0 to {int(second) - 1}" if int(second) else "there are no parts"
        raise ValueError(f"--shard {text}: {known}")
    return int(first), int(second)
