"""Builds the pages in docs/site: the reference, from docstrings; the gallery, whose figures are made here; the guides.

`make docs`. A warning of the reference, a link that leads nowhere, or a gallery script that fails ends the build.
"""

import functools
import html
import logging
import pathlib
import re
import shutil
import sys
import time
import warnings

import jax
import markdown2
import pdoc
import pdoc.render

import jaxcliff as jc

DOCS = pathlib.Path(__file__).parent
ROOT = DOCS.parent
SITE = DOCS / "site"
# Public rooms that live in another room; those of the package itself are found with it.
ROOMS = (
    "jaxcliff.rewards.aggregate",
    "jaxcliff.rewards.models",
    "jaxcliff.rewards.perturb",
    "jaxcliff.geometry.family",
    "jaxcliff.core.types",
)
GUIDES = {
    "README.md": "jaxcliff",
    "docs/theory.md": "What is true",
    "docs/house.md": "The house",
    "docs/adding.md": "How to add something",
    "docs/scale.md": "Sweeps on any machine",
    "docs/audit.md": "The audit of scores and logs",
    "docs/learners.md": "Learners and their noise",
    "CHANGELOG.md": "Changelog",
    "CONTRIBUTING.md": "Contributing",
}
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
body {{ max-width: 60rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif; color: #1b1b1b }}
pre {{ background: #f6f6f4; padding: .8rem; overflow-x: auto; font-size: 13px }} img {{ max-width: 100% }}
table {{ border-collapse: collapse; font-size: 14px }} td, th {{ border: 1px solid #ddd; padding: .3rem .5rem }}
nav a {{ margin-right: 1rem }}</style></head><body><nav>{nav}</nav>{body}</body></html>
"""
QUOTES = 3 * '"'
EXTRAS = ["tables", "fenced-code-blocks", "header-ids", "code-friendly"]


class _Strict(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise SystemExit(f"the reference: {record.getMessage()}")


def main() -> None:
    """Everything, from nothing."""
    began = time.perf_counter()
    shutil.rmtree(SITE, ignore_errors=True)
    SITE.mkdir(parents=True)
    reference()
    gallery()
    guides()
    broken = list(dead_links())
    if broken:
        raise SystemExit("links that lead nowhere:\n" + "\n".join(broken))
    print(f"{len(list(SITE.rglob('*.html')))} pages in {SITE}, {time.perf_counter() - began:.0f} s")


def reference() -> None:
    """One page per public room, and one for the names of the package itself."""
    for name in jc.__all__:  # the reference reads what is there, and most rooms open when they are first used
        setattr(jc, name, getattr(jc, name))
    warnings.simplefilter("error")
    logging.getLogger("pdoc").addHandler(_Strict())
    pdoc.render.configure(docformat="google", math=False, search=True, show_source=False)
    pdoc.pdoc("jaxcliff", *ROOMS, output_directory=SITE / "reference")
    warnings.simplefilter("default")


def gallery() -> None:
    """Each script of docs/gallery, and the figure that it makes."""
    (SITE / "gallery").mkdir()
    parts = ["<h1>Gallery</h1><p>Every figure with all that makes it.</p>"]
    for script in sorted((DOCS / "gallery").glob("*.py")):
        found: dict[str, object] = {}
        with jax.enable_x64(True):
            exec(compile(script.read_text(encoding="utf-8"), str(script), "exec"), found)
        image, (title, code) = f"gallery/{script.stem}.png", _script(script)
        found["figure"].savefig(SITE / image, dpi=150)  # type: ignore[attr-defined]
        parts.append(f"<h2>{title}</h2><img src='{image}' alt='{title}'>{code}")
    _write("gallery.html", "Gallery", "\n".join(parts))


def guides() -> None:
    """The Markdown files, and the tasks with their code, as pages."""
    for source, title in GUIDES.items():
        place = functools.partial(_linked, source=ROOT / source)
        text = re.sub(r"\]\((?!https?:|#)([^)]+)\)", place, (ROOT / source).read_text(encoding="utf-8"))
        name = "index.html" if source == "README.md" else f"{pathlib.Path(source).stem.lower()}.html"
        _write(name, title, markdown2.markdown(text, extras=EXTRAS))
    scripts = [(path.stem, *_script(path)) for path in sorted((DOCS / "tasks").glob("*.py"))]
    text = (DOCS / "tasks.md").read_text(encoding="utf-8")
    text = re.sub(r"\(tasks/(\w+)\.py\)", r"(#\1)", text)
    code = "\n".join(f'<h2 id="{name}">{title}</h2>{code}' for name, title, code in scripts)
    _write("tasks.html", "Tasks", markdown2.markdown(text, extras=EXTRAS) + code)


def _script(path: pathlib.Path) -> tuple[str, str]:
    """What a script says of itself, and its code, as HTML."""
    _, title, code = path.read_text(encoding="utf-8").split(QUOTES, 2)
    return html.escape(title), f"<pre>{html.escape(code.strip())}</pre>"


def _linked(link: re.Match[str], source: pathlib.Path) -> str:
    return f"]({_moved(link[1], source)})"


def _moved(link: str, source: pathlib.Path) -> str:
    """Where a file that a guide links to is on the site; pictures and data come along."""
    target = (source.parent / link.split("#")[0]).resolve()
    if not target.exists():
        raise SystemExit(f"{source.name} links to {link}, which is not there")
    own = str(target.relative_to(ROOT))
    if own == "docs/tasks.md":
        return "tasks.html"
    if own in GUIDES:
        return "index.html" if own == "README.md" else f"{pathlib.Path(own).stem.lower()}.html"
    if target.is_dir():  # of scripts, which are one page
        return f"{target.name}.html"
    copy = SITE / own
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(target, copy)
    return own


def _write(name: str, title: str, body: str) -> None:
    pages = {"jaxcliff": "index.html", "reference": "reference/index.html", "gallery": "gallery.html"}
    pages |= {"tasks": "tasks.html", "theory": "theory.html", "house": "house.html", "adding": "adding.html"}
    nav = "".join(f"<a href='{page}'>{word}</a>" for word, page in pages.items())
    (SITE / name).write_text(PAGE.format(title=title, nav=nav, body=body), encoding="utf-8")


def dead_links() -> list[str]:
    """Links inside the site to pages or places that do not exist."""
    found = []
    pages = {page: page.read_text(encoding="utf-8") for page in SITE.rglob("*.html")}
    for page, text in pages.items():
        for link in re.findall(r"""(?:href|src)=['"]([^'"]+)['"]""", text):
            if re.match(r"(https?|data|mailto|javascript):|.*\$\{", link) or link == "#":
                continue
            path, _, place = html.unescape(link).partition("#")
            target = (page.parent / path).resolve() if path else page
            there = target.exists()
            if there and place and target.suffix == ".html":
                there = f'id="{place}"' in (pages.get(target) or target.read_text(encoding="utf-8"))
            if not there:
                found.append(f"{page.relative_to(SITE)}: {link}")
    return found


if __name__ == "__main__":
    sys.exit(main())
