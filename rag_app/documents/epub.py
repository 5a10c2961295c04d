"""Books (.epub): their chapters, in order, as HTML."""

import posixpath
import zipfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from urllib.parse import unquote

from rag_app.documents.archive import local, opened, xml_of
from rag_app.documents.content import Content
from rag_app.documents.html import decode_page, read_markup
from rag_app.documents.left_out import LeftOut, counted, named
from rag_app.documents.sources import Source
from rag_app.errors import DocumentError
from rag_app.text.normalise import normalise


def read_epub(source: Source) -> list[Content]:
    """Read a book as one document.

    Raises:
        DocumentError: it is no EPUB, is encrypted, or has no text.
    """
    with opened(source, what="an EPUB") as archive:
        book = _Book(archive)
        chapters = [read_markup(decode_page(archive.read(path))) for path in book.chapters]
    text = normalise("\n\n".join(filter(None, (one.text for one in chapters))))
    if not text and book.locked:
        raise DocumentError("is encrypted (DRM); take a copy of the book without that")
    if not text:
        raise DocumentError("holds no text; it may be pictures of pages, or locked")
    about = book.about
    fields = {key: about[key] for key in ("creator", "publisher", "language") if key in about}
    return [
        Content(
            text,
            kind="epub",
            title=about.get("title", [None])[0],
            fields={key: found if len(found) > 1 else found[0] for key, found in fields.items()},
            dates=about.get("date", ()),
            left_out=[*book.left_out(), *_summed(chapters)],
        )
    ]


def _summed(chapters: Sequence[Content]) -> list[LeftOut]:
    """What is left out of the chapters, but for pictures, which the book counts."""
    counts: Counter[str] = Counter()
    for one in (one for chapter in chapters for one in chapter.left_out):
        counts[one.part] += one.count
    return counted({part: n for part, n in counts.items() if not part.startswith("pictures")})


class _Book:
    """What the package of a book says is in it.

    Fields:
        about: what it says of the book, by name.
        chapters: members that can be read, in the order of reading.
        locked: those that are encrypted.
    """

    def __init__(self, archive: zipfile.ZipFile) -> None:
        path = _package_path(archive)
        package = xml_of(archive, path)
        folder = posixpath.dirname(path)
        members, encrypted = set(archive.namelist()), _encrypted(archive)
        self.about: dict[str, list[str]] = defaultdict(list)
        for one in package.iter():
            if one.text and one.text.strip():
                self.about[local(one)].append(one.text.strip())
        items = {one.get("id"): one for one in package.iter() if local(one) == "item"}
        paths = {
            name: posixpath.normpath(posixpath.join(folder, unquote(item.get("href", ""))))
            for name, item in items.items()
        }
        kinds = {name: item.get("media-type", "") for name, item in items.items()}
        spine = [one.get("idref") for one in package.iter() if local(one) == "itemref"]
        named_chapters = [paths[one] for one in spine if "html" in kinds.get(one, "")]
        self._missing = [one for one in named_chapters if one not in members]
        self.locked = [one for one in named_chapters if one in encrypted]
        self.chapters = [one for one in named_chapters if one in members - encrypted]
        self._pages = [paths[one] for one in spine if one in kinds and "html" not in kinds[one]]
        self._pictures = sum(
            kind.startswith("image/") and paths[name] not in self._pages
            for name, kind in kinds.items()
        )

    def left_out(self) -> list[LeftOut]:
        """What of the book is in no text."""
        left = [
            LeftOut("chapters missing from the book", len(self._missing), named(self._missing)),
            LeftOut("chapters encrypted", len(self.locked), named(self.locked)),
            LeftOut("pages in other formats than HTML", len(self._pages), named(self._pages)),
            LeftOut("pictures", self._pictures),
        ]
        return [one for one in left if one.count]


def _encrypted(archive: zipfile.ZipFile) -> set[str]:
    """Members that cannot be read without a key; fonts often are, and are no text."""
    if "META-INF/encryption.xml" not in archive.namelist():
        return set()
    references = xml_of(archive, "META-INF/encryption.xml").iter()
    uris = (one.get("URI", "") for one in references if local(one) == "CipherReference")
    return {posixpath.normpath(unquote(uri).lstrip("/")) for uri in uris}


def _package_path(archive: zipfile.ZipFile) -> str:
    container = xml_of(archive, "META-INF/container.xml")
    found = next((one for one in container.iter() if local(one) == "rootfile"), None)
    if found is None:
        raise DocumentError("names no package in META-INF/container.xml; save it again")
    return found.get("full-path", "")
