"""Word documents (.docx), by mammoth as HTML: headings, lists, tables, notes."""

import io
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from xml.etree.ElementTree import tostring

from rag_app.documents.archive import local, opened, xml_of
from rag_app.documents.content import Content
from rag_app.documents.docx_body import write_plainly
from rag_app.documents.docx_drawings import show_drawings
from rag_app.documents.docx_numbers import MARKED, numbers_of
from rag_app.documents.extras import imported
from rag_app.documents.html import read_markup
from rag_app.documents.left_out import LeftOut, counted, named
from rag_app.documents.office_xml import paragraph_texts
from rag_app.documents.sources import Source
from rag_app.errors import DocumentError

# mammoth's links from a note back to its mark.
_BACK = re.compile(r'<a href="#[^"]*">↑</a>')
# Its items with a number of their own; and what it puts around an item of a second level that
# follows none of the first.
_NUMBERED = re.compile(rf"<li(?=>(?:<[^>]*>)*{MARKED})")
_EMPTY = re.compile(r"<ul(?=><li><[uo]l>)")
_PAGE_NUMBER = re.compile(r"\W*\d{0,4}\W*")
# Word takes them in when it next saves the document.
_INSERTED = "documents inserted whole"
# Characters of a header that are shown.
_SHOWN = 40


def read_docx(source: Source) -> list[Content]:
    """Read a Word document as one document.

    Raises:
        DocumentError: it is none, has no text, or mammoth is not installed.
    """
    mammoth = imported("mammoth", extra="office")
    with opened(source, what="a .docx document") as archive:
        names = archive.namelist()
        about = (
            {local(one): one.text for one in xml_of(archive, "docProps/core.xml") if one.text}
            if "docProps/core.xml" in names
            else {}
        )
        left = _left_out(archive)
        data = _written_out(archive)
    made = mammoth.convert_to_html(
        io.BytesIO(data),
        convert_image=mammoth.images.img_element(lambda _: {}),
        style_map="p[style-name='Title'] => h1:fresh",
    )
    markup = _EMPTY.sub('<ul type="none"', _BACK.sub("", made.value))
    markup = _NUMBERED.sub('<li type="none"', markup).replace(MARKED, "")
    # Few authors tell Word which row of a table is its header.
    content = read_markup(markup, kind="docx", headed=True)
    if not content.text:
        inserted = [one for one in left if one.part == _INSERTED]
        but = f", but {inserted[0]}; open it in Word and save it" if inserted else ""
        raise DocumentError(f"holds no text{but or '; it may be pictures of pages'}")
    return [
        Content(
            content.text,
            kind="docx",
            title=about.get("title") or content.title,
            fields={key: about[key] for key in ("creator",) if key in about},
            dates=[about[key] for key in ("modified", "created") if key in about],
            left_out=[*content.left_out, *left],
        )
    ]


def _left_out(archive: zipfile.ZipFile) -> list[LeftOut]:
    """What a document holds beside its text."""
    bodies = (xml_of(archive, member) for member in _members(archive, "document"))
    names = Counter(local(one) for body in bodies for one in body.iter())
    counts = {
        "comments": sum(
            local(one) == "comment"
            for member in _members(archive, "comments")
            for one in xml_of(archive, member)
        ),
        "charts": len(_members(archive, "charts/chart")),
        _INSERTED: names["altChunk"],
        "objects of other programs": names["OLEObject"],
    }
    return [*counted(counts), *_around(archive)]


def _members(archive: zipfile.ZipFile, kind: str) -> list[str]:
    """The members of a kind, which are numbered."""
    return [name for name in archive.namelist() if re.fullmatch(rf"word/{kind}\d*\.xml", name)]


def _around(archive: zipfile.ZipFile) -> Iterator[LeftOut]:
    """Headers and footers, each text once; those that only number pages are none."""
    for kind in ("header", "footer"):
        texts = dict.fromkeys(
            " ".join(" ".join(paragraph_texts(xml_of(archive, member))).split())
            for member in _members(archive, kind)
        )
        found = [text for text in texts if not _PAGE_NUMBER.fullmatch(text)]
        shown = (text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..." for text in found)
        if found:
            yield LeftOut(f"{kind}s of pages", len(found), named(shown))


def _written_out(archive: zipfile.ZipFile) -> bytes:
    """The document with what mammoth does not read written as text, without its pictures."""
    bodies = _members(archive, "(?:document|footnotes|endnotes)")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as new:
        for member in archive.namelist():
            if member in bodies:
                new.writestr(member, _body(archive, member))
            elif not member.startswith("word/media/"):
                new.writestr(member, archive.read(member))
    return out.getvalue()


def _body(archive: zipfile.ZipFile, member: str) -> bytes:
    body = xml_of(archive, member)
    show_drawings(archive, member, body)
    write_plainly(body)
    numbers_of(archive).write(body)
    written: bytes = tostring(body)
    return written
