"""What PDFium finds in a PDF: the text of its pages, their notes and form values.

Notes and form values are no part of PDFium's text; they follow the text of their page.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from rag_app.documents.limits import renew_time
from rag_app.documents.ocr import text_by_ocr
from rag_app.documents.pdf_lines import page_text

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument, PdfPage

# A page with so few letters and a picture over half of it is a scan with a stamp or a number.
_FEW_LETTERS = 50
_MOST_PICTURE = 0.5
# Private use and replacement characters: glyphs whose font does not say what they mean.
_UNKNOWN_GLYPH = re.compile("[\ue000-\uf8ff\ufffd]")
_MOST_UNKNOWN = 0.3
# What a link has is said of it to who cannot see it, and a popup shows the note of another.
_NO_NOTES = ("LINK", "POPUP")


@dataclass(frozen=True)
class ParsedPdf:
    """What is in a PDF.

    Fields:
        pages: their texts.
        pictures: numbers, from 1, of the pages whose text is in a picture.
        by_ocr: of those whose text was read by OCR.
        dates: of creation and of the last change, as written.
        attachments: names of the files inside, those of notes included.
    """

    pages: list[str]
    pictures: list[int]
    by_ocr: list[int]
    dates: list[str]
    attachments: list[str]


class _Page(NamedTuple):
    text: str
    is_picture: bool
    by_ocr: bool
    attachments: list[str]


def parse(data: bytes, *, ocr: str | None = None) -> ParsedPdf | None:
    """Parse a PDF; None where it needs a password.

    Arguments:
        ocr: languages in which pages without text are read by OCR; None: they are not.
    Raises:
        pypdfium2.PdfiumError: it is broken; names the page, if it is one.
    """
    from pypdfium2 import PdfDocument, PdfiumError, raw

    try:
        document = PdfDocument(data)
    except PdfiumError as error:
        if error.err_code == raw.FPDF_ERR_PASSWORD:
            return None
        raise
    document.init_forms()
    dates = (document.get_metadata_value(key) for key in ("CreationDate", "ModDate"))
    pages: list[_Page] = []
    for index in range(len(document)):
        renew_time()
        pages.append(_read_page(document, index, ocr))
    names = [document.get_attachment(i).get_name() for i in range(document.count_attachments())]
    return ParsedPdf(
        [page.text for page in pages],
        pictures=[number for number, page in enumerate(pages, 1) if page.is_picture],
        by_ocr=[number for number, page in enumerate(pages, 1) if page.by_ocr],
        dates=[date for date in dates if date],
        attachments=names + [name for page in pages for name in page.attachments],
    )


def _read_page(document: "PdfDocument", index: int, ocr: str | None) -> _Page:
    """A page's text with its notes, and whether more of it is in a picture."""
    from pypdfium2 import PdfiumError

    try:
        page = document[index]
        turned = page.get_rotation()
        text = page_text(page)
        is_picture = _is_picture(page, text)
        # What is shown is turned as the page says.
        page.set_rotation(turned)
        unreadable = is_unreadable(text)
        read = text_by_ocr(page, ocr) if ocr and (is_picture or unreadable) else ""
    except PdfiumError as error:
        raise PdfiumError(f"page {index + 1}: {error}") from None
    # Of a scan's own text, such as a number printed on it, OCR may have missed a part.
    known = unreadable or set(text.split()) <= set(read.split())
    own = "" if read and known else text.strip("\n")
    parts = [read, own, *page_notes(document, page)]
    return _Page(
        "\n".join(filter(None, parts)),
        is_picture=is_picture and not read,
        by_ocr=bool(read),
        attachments=list(_attached(page)),
    )


def is_unreadable(text: str) -> bool:
    """Whether so many letters cannot be told that a text is none."""
    return len(_UNKNOWN_GLYPH.findall(text)) > _MOST_UNKNOWN * len(text)


def _is_picture(page: "PdfPage", text: str) -> bool:
    """Whether a page shows something, and hardly any of it is text."""
    from pypdfium2 import raw

    letters = sum(map(str.isalnum, text))
    if letters >= _FEW_LETTERS:
        return False
    if letters == 0:
        return bool(raw.FPDFPage_CountObjects(page) > 0)
    width, height = page.get_size()
    pictures = page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE])
    largest = max((_area(picture.get_bounds()) for picture in pictures), default=0.0)
    return bool(largest > _MOST_PICTURE * width * height)


def _area(bounds: tuple[float, float, float, float]) -> float:
    left, bottom, right, top = bounds
    return (right - left) * (top - bottom)


def page_notes(document: "PdfDocument", page: "PdfPage") -> Iterator[str]:
    """Yield the notes on a page as they are, and its filled form fields as "name: value"."""
    from pypdfium2 import raw

    hidden = {getattr(raw, f"FPDF_ANNOT_{name}") for name in _NO_NOTES}
    for kind, annotation in _annotations(page):
        if kind == raw.FPDF_ANNOT_WIDGET:
            yield _form_value(document.formenv, annotation) if document.formenv else ""
        elif kind not in hidden:
            yield _wide(raw.FPDFAnnot_GetStringValue, annotation, b"Contents")


def _attached(page: "PdfPage") -> Iterator[str]:
    """Names of the files that notes on a page hold."""
    from pypdfium2 import raw

    for kind, annotation in _annotations(page):
        if kind == raw.FPDF_ANNOT_FILEATTACHMENT:
            file = raw.FPDFAnnot_GetFileAttachment(annotation)
            yield _wide(raw.FPDFAttachment_GetName, file) if file else "without a name"


def _annotations(page: "PdfPage") -> Iterator[tuple[int, Any]]:
    """The kind of each annotation on a page, and itself, until the next is asked for."""
    from pypdfium2 import raw

    for number in range(raw.FPDFPage_GetAnnotCount(page)):
        annotation = raw.FPDFPage_GetAnnot(page, number)
        yield raw.FPDFAnnot_GetSubtype(annotation), annotation
        raw.FPDFPage_CloseAnnot(annotation)


def _form_value(form: Any, annotation: Any) -> str:
    """A field of a form with what was filled in; nothing of an empty one, or of a button."""
    from pypdfium2 import raw

    kind = raw.FPDFAnnot_GetFormFieldType(form, annotation)
    if kind == raw.FPDF_FORMFIELD_PUSHBUTTON:
        return ""
    name = _wide(raw.FPDFAnnot_GetFormFieldAlternateName, form, annotation)
    name = name or _wide(raw.FPDFAnnot_GetFormFieldName, form, annotation)
    if kind in (raw.FPDF_FORMFIELD_CHECKBOX, raw.FPDF_FORMFIELD_RADIOBUTTON):
        if not raw.FPDFAnnot_IsChecked(form, annotation):
            return ""
        value = _wide(raw.FPDFAnnot_GetFormFieldExportValue, form, annotation) or "yes"
    elif kind == raw.FPDF_FORMFIELD_LISTBOX:
        value = ", ".join(_chosen(form, annotation))
    else:
        value = _wide(raw.FPDFAnnot_GetFormFieldValue, form, annotation)
    return f"{name}: {value}" if name and value else value


def _chosen(form: Any, annotation: Any) -> Iterator[str]:
    """What is chosen in a list of a form, which may be several."""
    from pypdfium2 import raw

    for number in range(raw.FPDFAnnot_GetOptionCount(form, annotation)):
        if raw.FPDFAnnot_IsOptionSelected(form, annotation, number):
            yield _wide(raw.FPDFAnnot_GetOptionLabel, form, annotation, number)


def _wide(ask: Any, *arguments: Any) -> str:
    """Ask PDFium for a text, which it writes into a buffer as UTF-16."""
    import ctypes

    from pypdfium2 import raw

    size = ask(*arguments, None, 0)
    if size <= 2:
        return ""
    buffer = ctypes.create_string_buffer(size)
    ask(*arguments, ctypes.cast(buffer, ctypes.POINTER(raw.FPDF_WCHAR)), size)
    return buffer.raw[: size - 2].decode("utf-16-le", "replace").replace("\r", "\n").strip()
