"""Slides (.pptx), by python-pptx: titles, texts, tables and the speaker's notes, slide by slide."""

import io
import re
from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import fromstring

from rag_app.documents.archive import local, opened
from rag_app.documents.content import Content
from rag_app.documents.extras import imported
from rag_app.documents.left_out import counted, left_out
from rag_app.documents.office_xml import formula_text, named_elements, paragraph_texts
from rag_app.documents.pages import joined_pages
from rag_app.documents.pptx_text import paragraphs_text, struck_count
from rag_app.documents.rows import Cell, cells_text
from rag_app.documents.sources import Source
from rag_app.errors import DocumentError

# What slides show and their XML keeps elsewhere, and how its members' names begin.
_BESIDE = {"charts": "ppt/charts/chart", "comments": "ppt/comments/"}
# What programs write where nobody described a picture.
_FILE_NAME = re.compile(r"\S+\.[A-Za-z]{3,4}")


def read_pptx(source: Source) -> list[Content]:
    """Read slides as one document whose pages they are.

    Raises:
        DocumentError: it is none, has no text, or python-pptx is not installed.
    """
    pptx = imported("pptx", extra="office")
    with opened(source, what="a .pptx presentation") as archive:
        counts = {
            kind: sum(name.startswith(begin) for name in archive.namelist())
            for kind, begin in _BESIDE.items()
        }
    slides = pptx.Presentation(io.BytesIO(source.read_bytes()))
    pages = ["\n\n".join(filter(None, _blocks(slide))) for slide in slides.slides]
    text, page_starts = joined_pages(pages)
    if not text:
        raise DocumentError("holds no text on its slides; they may be pictures")
    shown = [one for slide in slides.slides for one in _written_on(slide)]
    counts["pictures"] = sum(local(one) == "pic" for one in shown)
    counts["objects of other programs"] = sum(map(_is_object, shown))
    counts["passages struck out"] = sum(map(struck_count, shown))
    empty = [number for number, page in enumerate(pages, 1) if not page.strip()]
    about = slides.core_properties
    return [
        Content(
            text,
            kind="pptx",
            title=about.title or _first_title(slides.slides),
            fields={"creator": about.author} if about.author else {},
            dates=[str(date) for date in (about.modified, about.created) if date],
            page_starts=page_starts,
            left_out=[
                *left_out("slides without text", "slide", empty),
                *counted(counts),
            ],
        )
    ]


def _first_title(slides: Any) -> str | None:
    titles = (slide.shapes.title for slide in slides)
    return next((title.text_frame.text for title in titles if title is not None), None)


def _blocks(slide: Any) -> Iterator[str]:
    title = slide.shapes.title
    if title is not None and title.text_frame.text.strip():
        yield f"# {' '.join(paragraphs_text(title.element).split())}"
    for shape in _shapes(slide.shapes):
        if title is not None and shape.shape_id == title.shape_id:
            continue
        if shape.has_text_frame:
            yield paragraphs_text(shape.element)
        elif getattr(shape, "has_table", False):
            yield cells_text(list(_cells(shape.element)))
        else:
            yield _drawn(shape)
    yield from _passed_over(slide.element)
    if (notes := _notes(slide)) is not None:
        yield paragraphs_text(notes.element)


def _passed_over(slide: Any) -> Iterator[str]:
    """Texts of shapes that have alternatives, which python-pptx passes over; formulas."""
    for alternatives in named_elements(slide.iter(), "AlternateContent"):
        for choice in named_elements(alternatives, "Choice")[:1]:
            yield "\n".join(paragraph_texts(choice))
    yield from map(formula_text, named_elements(slide.iter(), "oMath"))


def _drawn(shape: Any) -> str:
    """What a picture says to who cannot see it, and the texts of a diagram (SmartArt)."""
    if local(shape.element) == "pic":
        said = next((one.get("descr", "") for one in shape.element.iter() if one.get("descr")), "")
        return "" if _FILE_NAME.fullmatch(said) else str(said)
    texts: list[str] = []
    for references in named_elements(shape.element.iter(), "relIds"):
        for key, value in references.items():
            if key.endswith("}dm") and value in shape.part.rels:
                data = shape.part.related_part(value).blob
                texts += paragraph_texts(fromstring(data))  # noqa: S314 - as xml_of()
    return "\n".join(texts)


def _is_object(shape: Any) -> bool:
    """Whether a shape is a part of another program's file: a sheet, another presentation."""
    return local(shape) == "graphicFrame" and bool(named_elements(shape.iter(), "oleObj"))


def _notes(slide: Any) -> Any:
    """The shape of the speaker's notes; None without any."""
    return slide.notes_slide.notes_placeholder if slide.has_notes_slide else None


def _written_on(slide: Any) -> Iterator[Any]:
    """The elements that hold a slide's text."""
    yield from (shape.element for shape in _shapes(slide.shapes))
    if (notes := _notes(slide)) is not None:
        yield notes.element


def _cells(table: Any) -> Iterator[Cell]:
    rows = [one for one in table.iter() if local(one) == "tr"]
    for number, row in enumerate(rows):
        for column, cell in enumerate(one for one in row if local(one) == "tc"):
            # What another cell spans is there, too, and empty.
            if "1" not in (cell.get("hMerge"), cell.get("vMerge")):
                text = " ".join(paragraphs_text(cell).split())
                height, width = (int(cell.get(name, 1)) for name in ("rowSpan", "gridSpan"))
                yield Cell(number, column, text, height, width)


def _shapes(shapes: Any) -> Iterator[Any]:
    """The shapes of a slide, those of its groups included."""
    for shape in shapes:
        if hasattr(shape, "shapes"):
            yield from _shapes(shape.shapes)
        else:
            yield shape
