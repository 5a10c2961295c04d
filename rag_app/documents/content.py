"""What a reader finds in a file, and the `Document` made of it."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from rag_app.documents.left_out import LeftOut, named
from rag_app.documents.sources import Source, refuse_endless
from rag_app.errors import DocumentError
from rag_app.known import KNOWN_QUESTIONS, KnownQuestion, dump_questions
from rag_app.text.dates import date_fields, date_in_name, dates_of, without_date
from rag_app.text.language import guess_language
from rag_app.text.normalise import normalise
from rag_app.text.written import written_number

if TYPE_CHECKING:
    from llama_index.core.schema import Document

Scalar = str | int | float | bool
# A list has one or more strings.
Value = Scalar | list[str]

# Ours, and what LlamaIndex's vector stores write: a file's own field gets a trailing underscore.
RESERVED = {"path", "kind", "date_epoch", "date_raw", "page_starts", KNOWN_QUESTIONS} | {
    *("document_id", "doc_id", "ref_doc_id", "_node_content", "_node_type"),
    *("page", "page_end", "table_header", "begins_in_code"),
}
LONGEST_KEY = 64  # beyond, it is a sentence with a colon that YAML took for a key
# Every chunk carries the title: a line of megabytes would be copied thousands of times.
_LONGEST_TITLE = 1_000
_INT64 = 2**63
# Chroma (1.5) fails at some 8,000 keys in one row, and from then on with every row that follows;
# and a batch of rows with 500 each takes it four seconds.
MOST_FIELDS = 256
# Beside a text that is a number, as 1.10 or 01234: its value, for an order.
NUMBER_SUFFIX = "__number"


@dataclass(frozen=True)
class Content:
    """The text of one document, and what the file says about it.

    Fields:
        text: normalised; character offsets count in it.
        kind: markdown, text, html, pdf or faq.
        title: the file's own, if it has one; a `title` among the fields comes before it.
        fields: front matter or table columns, as written.
        dates: the format's own dates, tried after those of the fields and of the file's name.
        part: what tells this document from others of the same file; None: it is the whole file.
        page_starts: character offset at which each page begins.
        merged: further rows or passages of the file with this very text, which this one stands for.
        questions: that it is known to answer.
        left_out: what is in no document of the file; stands with the file's first content.
        by_ocr: numbers of the pages that are read by OCR.
    """

    text: str
    kind: str
    title: str | None = None
    fields: Mapping[str, object] = field(default_factory=dict)
    dates: Sequence[object] = ()
    part: str | None = None
    page_starts: Sequence[int] | None = None
    merged: int = 0
    questions: Sequence[KnownQuestion] = ()
    left_out: Sequence[LeftOut] = ()
    by_ocr: Sequence[int] = ()


def shown(value: Scalar) -> str:
    """A single value as text; truth values as in JSON and YAML."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def unkept_fields(fields: Mapping[str, object]) -> list[LeftOut]:
    """What of the fields of a file becomes no metadata."""
    nested = [name for name, value in fields.items() if is_nested(value)]
    kept = _values(fields)
    values = ((name, field_value(value)) for name, value in fields.items())
    again = [
        name
        for name, value in values
        if value is not None and kept.get(field_key(name), value) != value
    ]
    counted = {"fields with an inner structure": nested, "fields of the same name": again}
    left = [LeftOut(part, len(names), named(names)) for part, names in counted.items() if names]
    return left + long_names("fields", map(field_key, fields))


def long_names(noun: str, keys: Iterable[str]) -> list[LeftOut]:
    """Those of the keys that are too long for metadata, as left out."""
    names = [key for key in keys if len(key) > LONGEST_KEY]
    part = f"{noun} with a name over {LONGEST_KEY} characters"
    short = (f"{name[:LONGEST_KEY]}..." for name in names)
    return [LeftOut(part, len(names), named(short))] if names else []


@dataclass(frozen=True, slots=True)
class DatesDiffer:
    """A document with two dates.

    Fields:
        document: its id.
        date, source: that which is taken, and where it stands: "fields" (front matter, columns),
            "file name" or "file" (what else its file says).
        other, other_source: the first that differs.
    """

    document: str
    date: str
    source: str
    other: str
    other_source: str


def differing_dates(source: Source, content: Content) -> DatesDiffer | None:
    """Two dates of a document, where it has such."""
    name = source.path.name
    if not content.dates and date_in_name(name) is None:
        return None
    found = list(dates_of(_values(content.fields), file_name=name, others=content.dates))
    other = next((one for one in found if one.day != found[0].day), None)
    if other is None:
        return None
    taken = found[0]
    days = (taken.day.isoformat(), taken.source, other.day.isoformat(), other.source)
    return DatesDiffer(document_id(source, content), *days)


def document_id(source: Source, content: Content) -> str:
    """The file's id, and what tells this document from others of it."""
    return source.id if content.part is None else f"{source.id}#{content.part}"


def is_nested(value: object) -> bool:
    """Whether a value has an inner structure, and is no list of plain values."""
    if isinstance(value, list | tuple):
        return not all(isinstance(one, Scalar | date) or one is None for one in value)
    return isinstance(value, Mapping)


def field_key(name: object) -> str:
    """Write a field's or column's name as a metadata key: lower-case, blanks to underscores."""
    return "_".join(normalise(str(name)).lower().split())


def to_document(source: Source, content: Content) -> "Document":
    """Make the document; only its title is embedded or shown to a language model.

    Raises:
        DocumentError: there is no text, or too much of it.
    """
    from llama_index.core.schema import Document

    if not content.text:
        raise DocumentError("is empty; write text into it or remove it")
    refuse_endless(content.text)
    metadata = _metadata(source, content)
    unread = sorted(key for key in metadata if key != "title")
    return Document(
        id_=document_id(source, content),
        text=content.text,
        metadata=metadata,
        excluded_embed_metadata_keys=unread,
        excluded_llm_metadata_keys=unread,
    )


def _metadata(source: Source, content: Content) -> dict[str, Value]:
    fields = _values(content.fields)
    metadata: dict[str, Value] = {"path": str(source.path), "kind": content.kind}
    metadata["language"] = _language(fields, content.text)
    if title := _title(source, content, fields):
        metadata["title"] = title
    metadata |= date_fields(fields, file_name=source.path.name, others=content.dates)
    if content.page_starts is not None:
        metadata["page_starts"] = f"[{', '.join(map(str, content.page_starts))}]"
    if content.questions:
        metadata[KNOWN_QUESTIONS] = dump_questions(content.questions)
    for key, value in fields.items():
        if key not in ("title", "date") and metadata.get(key) != value:
            taken = key in RESERVED or key in metadata
            metadata[f"{key}_" if taken else key] = value
    return metadata | numbers_of({key: metadata[key] for key in fields if key in metadata})


def numbers_of(fields: Mapping[str, Value]) -> dict[str, Scalar]:
    """The values of the fields that are numbers and are kept as they are written."""
    return {
        f"{key}{NUMBER_SUFFIX}": number
        for key, value in fields.items()
        if (number := written_number(value)) is not None
    }


def _title(source: Source, content: Content, fields: Mapping[str, Value]) -> str | None:
    own = _joined(fields.get("title", "")) or normalise(content.title or "")
    if own or content.part is not None:
        return _shortened(" ".join(own.split()))
    stem = normalise(source.path.stem)
    return " ".join(without_date(stem).replace("-", " ").replace("_", " ").split()) or stem


def _joined(value: Value) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)


def _shortened(title: str) -> str:
    """Cut a title that is no title any more, between words where there are any."""
    if len(title) <= _LONGEST_TITLE:
        return title
    head, blank, _ = title[:_LONGEST_TITLE].rpartition(" ")
    return head if blank else title[:_LONGEST_TITLE]


def _language(fields: Mapping[str, Value], text: str) -> str:
    """Take the language that the file names (ko, en-US), else guess."""
    said = str(fields.get("language") or fields.get("lang") or "").lower()
    code = said.replace("_", "-").split("-")[0]
    return code if re.fullmatch("[a-z]{2,3}", code) else guess_language(text)


def _values(fields: Mapping[str, object]) -> dict[str, Value]:
    """The fields that Chroma can store.

    Raises:
        DocumentError: there are too many.
    """
    if len(fields) > MOST_FIELDS:
        raise DocumentError(f"has {len(fields):,} fields; {MOST_FIELDS} are the most, name fewer")
    values: dict[str, Value] = {}
    for name, given in fields.items():
        key, value = field_key(name), field_value(given)
        if value is not None and 0 < len(key) <= LONGEST_KEY:
            values.setdefault(key, value)
    return values


def field_value(value: object) -> Value | None:
    """Write a field's value as metadata; None for what is empty or has an inner structure."""
    if isinstance(value, list | tuple):
        parts = [part for part in map(_scalar, value) if part is not None]
        return [shown(part) for part in parts] or None
    return _scalar(value)


def _scalar(value: object) -> Scalar | None:
    """Make a value one that Chroma stores; None for what is empty or has an inner structure."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str):
        return normalise(value) or None
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -_INT64 <= value < _INT64 else str(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return None
