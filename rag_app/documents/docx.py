"""Word documents (.docx), by mammoth as HTML: headings, lists, tables, notes."""

import io
import re
import zipfile
from xml.etree.ElementTree import tostring

from rag_app.documents.archive import local, opened, xml_of
from rag_app.documents.content import Content
from rag_app.documents.docx_numbers import numbers_of
from rag_app.documents.extras import imported
from rag_app.documents.html import read_markup
from rag_app.documents.left_out import LeftOut
from rag_app.documents.sources import Source
from rag_app.errors import DocumentError

# mammoth's links from a note back to its mark.
_BACK = re.compile(r'<a href="#[^"]*">↑</a>')
# Its lists but those of notes, for their items have numbers of their own; and what it puts around
# an item of a second level that follows none of the first.
_NO_MARKS = re.compile(r'<(?:ol>(?!<li id="(?:foot|end)note-)|ul>(?=<li><[uo]l>))')
_BODY = "word/document.xml"


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
        comments = (
            sum(local(one) == "comment" for one in xml_of(archive, "word/comments.xml"))
            if "word/comments.xml" in names
            else 0
        )
        numbered = _numbered(archive)
    made = mammoth.convert_to_html(
        io.BytesIO(numbered),
        convert_image=mammoth.images.img_element(lambda _: {}),
        style_map="p[style-name='Title'] => h1:fresh",
    )
    markup = _NO_MARKS.sub(_without_marks, _BACK.sub("", made.value))
    # Few authors tell Word which row of a table is its header.
    content = read_markup(markup, kind="docx", headed=True)
    if not content.text:
        raise DocumentError("holds no text; it may be pictures of pages")
    return [
        Content(
            content.text,
            kind="docx",
            title=about.get("title") or content.title,
            fields={key: about[key] for key in ("creator",) if key in about},
            dates=[about[key] for key in ("modified", "created") if key in about],
            left_out=[*content.left_out, *([LeftOut("comments", comments)] if comments else [])],
        )
    ]


def _without_marks(match: re.Match[str]) -> str:
    return f'{match[0][:-1]} type="none">'


def _numbered(archive: zipfile.ZipFile) -> bytes:
    """The document with the numbers of its paragraphs written, without its pictures."""
    body = xml_of(archive, _BODY)
    numbers_of(archive).write(body)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as new:
        for member in archive.namelist():
            if not member.startswith("word/media/"):
                data = archive.read(member) if member != _BODY else tostring(body)
                new.writestr(member, data)
    return out.getvalue()
