"""Books (.epub): their chapters, in order, as HTML."""

import posixpath
import zipfile
from collections.abc import Iterator
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from rag_app.documents.archive import local, opened, xml_of
from rag_app.documents.content import Content
from rag_app.documents.html import decode_page, read_markup
from rag_app.documents.left_out import LeftOut, named
from rag_app.documents.sources import Source
from rag_app.errors import DocumentError
from rag_app.text.normalise import normalise


def read_epub(source: Source) -> list[Content]:
    """Read a book as one document.

    Raises:
        DocumentError: it is no EPUB, or has no text.
    """
    with opened(source, what="an EPUB") as archive:
        package_path = _package_path(archive)
        package = xml_of(archive, package_path)
        members = set(archive.namelist())
        chapters = [
            posixpath.normpath(posixpath.join(posixpath.dirname(package_path), path))
            for path in _spine(package)
        ]
        texts = [
            read_markup(decode_page(archive.read(path))).text
            for path in chapters
            if path in members
        ]
    text = normalise("\n\n".join(filter(None, texts)))
    if not text:
        raise DocumentError("holds no text; it may be pictures of pages, or locked")
    about = {local(one): one.text or "" for one in reversed(list(package.iter())) if one.text}
    missing = [path for path in chapters if path not in members]
    return [
        Content(
            text,
            kind="epub",
            title=about.get("title"),
            fields={
                key: about[key] for key in ("creator", "publisher", "language") if key in about
            },
            dates=[about["date"]] if "date" in about else (),
            left_out=[LeftOut("chapters missing from the book", len(missing), named(missing))]
            if missing
            else [],
        )
    ]


def _package_path(archive: zipfile.ZipFile) -> str:
    container = xml_of(archive, "META-INF/container.xml")
    found = next((one for one in container.iter() if local(one) == "rootfile"), None)
    if found is None:
        raise DocumentError("names no package in META-INF/container.xml; save it again")
    return found.get("full-path", "")


def _spine(package: Element) -> Iterator[str]:
    """Paths of the chapters from the package's folder, in the order of reading."""
    items = {
        item.get("id"): unquote(item.get("href", ""))
        for item in package.iter()
        if local(item) == "item" and "html" in item.get("media-type", "")
    }
    for reference in package.iter():
        if local(reference) == "itemref" and reference.get("idref") in items:
            yield items[reference.get("idref")]
