"""JSON, one object a line -> objects, and a table of their values."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from rag_app.documents.cells import Cell, Table
from rag_app.documents.content import Scalar, field_key, is_nested, shown
from rag_app.documents.left_out import LeftOut, left_out
from rag_app.documents.sources import Source
from rag_app.errors import DocumentError
from rag_app.text.json_lines import BadLine, json_lines
from rag_app.text.normalise import decode
from rag_app.text.written import json_number

# The number of its line, and the object.
Numbered = tuple[int, dict[str, Any]]


def json_objects(source: Source) -> list[Numbered]:
    """Read the objects of a .jsonl file after the numbers of their lines; blank lines are none.

    Raises:
        DocumentError: a line that is no JSON object, named by its number.
    """
    try:
        lines = decode(source.read_bytes()).split("\n")
        return list(json_lines(lines, parse_float=json_number))
    except BadLine as bad:
        if bad.reason is None:
            fault = 'is no object; write {"text": ...} there'
        else:
            fault = f"is not JSON ({bad.reason}); mend it"
        raise DocumentError(f"has a line {bad.number} that {fault}") from None


def json_tables(source: Source) -> list[Table]:
    """Read a .jsonl file as one table."""
    return [object_table(json_objects(source))]


def object_table(objects: Sequence[Numbered], *, noun: str = "line") -> Table:
    """Make a table of objects; its columns are all their keys, in the order they turn up.

    Lists of strings and numbers are cells with several values; objects inside are left out.

    Arguments:
        noun: what the numbers count.
    """
    records: list[dict[str, Cell]] = []
    nested: list[tuple[str, int]] = []
    again: list[tuple[str, int]] = []
    for number, one in objects:
        record: dict[str, Cell] = {}
        for key, value in one.items():
            cell = cell_of(value)
            if record.setdefault(field_key(key), cell) != cell:
                again.append((field_key(key), number))
            if value and is_nested(value):
                nested.append((key, number))
        records.append(record)
    columns = dict.fromkeys(key for record in records for key in record)
    left = [
        *_by_key('objects under "{}"', noun, nested),
        *_by_key('values under another "{}"', noun, again),
    ]
    return Table(tuple(columns), records, [number for number, _ in objects], left_out=left)


def _by_key(part: str, noun: str, found: Sequence[tuple[str, int]]) -> Iterable[LeftOut]:
    for key in dict.fromkeys(key for key, _ in found):
        yield from left_out(part.format(key), noun, [n for k, n in found if k == key])


def cell_of(value: object) -> Cell:
    """A JSON value as a cell; empty for null, NaN and what has an inner structure."""
    if isinstance(value, list) and not is_nested(value):
        return tuple(shown(one) for one in value if one is not None)
    if isinstance(value, float) and math.isnan(value):
        return ""
    return value if isinstance(value, Scalar) else ""
