"""The folder of an atlas, or of a gallery: whose it is, and that nothing else gets mixed with it."""

import re
import shutil
from pathlib import Path
from typing import Any

from jaxcliff.core.labels import Labels
from jaxcliff.model import provenance

README = "README.txt"
CHAPTERS = ("phase", "ray", "flips", "radius", "temperature")
FORMS = ("zarr", "png", "pdf")


def fingerprint(labels: Labels, name: Any, arrays: Any) -> str:
    """Twelve digits that belong to these names and numbers."""
    texts = repr((name, labels.states, labels.actions, labels.positions))
    return provenance.fingerprint(arrays, texts)


def make_room(out: Path, heading: str, *, replace: bool) -> None:
    """Makes the folder for the atlas whose README.txt begins with this heading; its last line says which problem it is.

    An older run of it is written over. The atlas of another problem is refused, or removed with `replace`; files of the
    same names that are of no atlas are refused.
    """
    out.mkdir(parents=True, exist_ok=True)
    ours = [out / README, *(out / f"{name}.{form}" for name in CHAPTERS for form in FORMS)]
    there = [path for path in ours if path.exists()]
    if not there:
        return
    readme = out / README
    found = readme.read_text(encoding="utf-8", errors="replace").split("\n\n")[0] if readme.is_file() else ""
    if found.splitlines()[-1:] == heading.splitlines()[-1:]:
        return
    if not re.match(r".*: MDP\(.*\)(\n|$)", found):
        raise ValueError(
            f"{out}/ has a {there[0].name} that is of no atlas, and would be written over; choose another folder"
        )
    if not replace:
        name = found.split(": MDP(")[0]
        raise ValueError(
            f"{out}/ has the atlas of another problem ({name}); choose another folder (--out), or "
            "remove that atlas first (--replace)"
        )
    for path in there:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def make_gallery(out: Path, first_line: str, pages: tuple[str, ...]) -> None:
    """Makes the folder for the gallery whose README.txt begins with this line; what an older one left is removed."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file; --out names a folder")
    out.mkdir(parents=True, exist_ok=True)
    readme = out / README
    ours = [readme, *(out / f"{name}.{form}" for name in pages for form in FORMS)]
    there = [path for path in ours if path.exists()]
    first = readme.read_text(encoding="utf-8", errors="replace").split("\n")[0] if readme.is_file() else ""
    if there and first != first_line:
        raise ValueError(
            f"{out}/ has a {there[0].name} that is of no gallery, and would be written over; choose another folder "
            "(--out)"
        )
    for path in there:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
