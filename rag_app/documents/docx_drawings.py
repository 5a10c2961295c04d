"""Boxes of text and diagrams of a Word document, put where mammoth reads them."""

import posixpath
import zipfile
from collections.abc import Iterator
from xml.etree.ElementTree import Element, SubElement

from rag_app.documents.archive import local, xml_of
from rag_app.documents.docx_body import WORD, text_run
from rag_app.documents.office_xml import named_elements, paragraph_texts

# mammoth reads what is in it, whatever that is.
_TRANSPARENT = f"{WORD}smartTag"


def show_drawings(archive: zipfile.ZipFile, member: str, body: Element) -> None:
    """Write the texts of drawings as paragraphs; mammoth reads those of pictures in VML alone.

    Arguments:
        member: of the archive, whose content `body` is.
    """
    for drawing in _drawings(body):
        _show(archive, member, drawing)


def _drawings(body: Element) -> list[Element]:
    """The drawings that mammoth gets to; of alternatives it knows the second, if that says more."""
    for one in named_elements(list(body.iter()), "AlternateContent"):
        fallback = named_elements(one, "Fallback")
        if not any(map(_says_something, fallback)):
            one.tag = _TRANSPARENT
            for choice in one:
                choice.tag = _TRANSPARENT
            for other in fallback:
                one.remove(other)
    return [one for one in body.iter() if one.tag == f"{WORD}drawing"]


def _says_something(element: Element) -> bool:
    return any(local(one) in ("t", "imagedata") for one in element.iter())


def _show(archive: zipfile.ZipFile, member: str, drawing: Element) -> None:
    """Put the text of a drawing where mammoth reads it."""
    boxes = named_elements(drawing.iter(), "txbxContent")
    lines = [
        line
        for one in named_elements(drawing.iter(), "relIds")
        for line in _diagram(archive, member, one)
    ]
    if not boxes and not lines:
        return
    shape = SubElement(drawing, f"{WORD}pict")
    shape.extend(boxes)
    for line in lines:
        SubElement(shape, f"{WORD}p").append(text_run(line))


def _diagram(archive: zipfile.ZipFile, member: str, references: Element) -> Iterator[str]:
    """The texts of a diagram (SmartArt), which stand in a part of their own."""
    folder, name = posixpath.split(member)
    related = xml_of(archive, f"{folder}/_rels/{name}.rels")
    wanted = {value for key, value in references.items() if key.endswith("}dm")}
    for relation in related:
        if relation.get("Id") in wanted:
            target = posixpath.normpath(posixpath.join("/", folder, relation.get("Target", "")))
            yield from paragraph_texts(xml_of(archive, target.lstrip("/")))
