"""What mkdocs.yml needs beside it: the README as pages, and links that leave `docs`.

The documents are read on GitHub as they are, where a link to `../eval/results/views.json` leads to
that file. On the site the README is a page, what else lies outside of `docs` is a link to the
repository, and pictures are copied. A file that is not there is a warning, which
`mkdocs build --strict` fails on.
"""

import logging
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File
from pymdownx.slugs import slugify

ROOT = Path(__file__).parents[1]
LOG = logging.getLogger("mkdocs.hooks.links")
# Files outside of `docs` that are pages of the site.
PAGES = {"README.md": "index.md", "README.ko.md": "index.ko.md"}
PICTURES = (".png", ".svg")
LINK = re.compile(r"(?<=\]\()([^)\s]+)(?=\))")
CELL = re.compile(r"<td>.*?</td>", re.DOTALL)
FENCED = re.compile(r"(^```.*?^```)", re.DOTALL | re.MULTILINE)


def on_config(config: Any) -> Any:
    """Headings get the anchors that GitHub gives them, so that a link holds in both."""
    config["mdx_configs"]["toc"]["slugify"] = slugify(case="lower")
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the README in both languages, and pictures that pages show from outside of `docs`."""
    for name, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text("utf-8")))
    for name in sorted({one for file in files.documentation_pages() for one in _outside(file)}):
        if name.endswith(PICTURES) and (ROOT / name).is_file():
            files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Point links at pages of the site where they are, else at the repository."""

    def moved(found: re.Match[str]) -> str:
        return _moved(found[0], page.file.src_uri, config["extra"]["repository"])

    return "".join(
        part if part.startswith("```") else LINK.sub(moved, part) for part in FENCED.split(markdown)
    )


def on_page_content(html: str, **_: Any) -> str:
    r"""In tables GitHub reads `\|` as a bar, inside of code as well."""
    return CELL.sub(lambda cell: cell[0].replace("\\|", "|"), html)


def _moved(link: str, page: str, repository: str) -> str:
    if re.match(r"[a-z]+:|#", link):
        return link
    path, hash_, anchor = link.partition("#")
    target = _in_repository(path, page)
    if target in PAGES:
        return posixpath.relpath(PAGES[target], posixpath.dirname(page) or ".") + hash_ + anchor
    if target.startswith("docs/"):
        inside = posixpath.relpath(target.removeprefix("docs/"), posixpath.dirname(page) or ".")
        return inside + hash_ + anchor
    if not (ROOT / target).exists():
        LOG.warning("%s: %s is not in the repository", page, link)
    if target.endswith(PICTURES):
        return posixpath.relpath(target, posixpath.dirname(page) or ".")
    kind = "tree" if (ROOT / target).is_dir() else "blob"
    return f"{repository}/{kind}/main/{target}{hash_}{anchor}"


def _in_repository(path: str, page: str) -> str:
    """A link's target as a path from the repository's root."""
    folder = "" if page in PAGES.values() else posixpath.join("docs", posixpath.dirname(page))
    return posixpath.normpath(posixpath.join(folder, path))


def _outside(file: Any) -> list[str]:
    """What a page links to outside of `docs`."""
    found = (_in_repository(one, file.src_uri) for one in LINK.findall(file.content_string))
    return [one for one in found if not one.startswith("docs/")]
