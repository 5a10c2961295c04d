"""JSON, one object a line -> objects, and a table of their values."""

from collections.abc import Sequence
from typing import Any

from rag_app.documents.cells import Cell, Table
from rag_app.documents.content import field_key, is_nested
from rag_app.documents.left_out import left_out
from rag_app.documents.sources import Source
from rag_app.errors import DocumentError
from rag_app.text.json_lines import BadLine, json_lines
from rag_app.text.normalise import decode
from rag_app.text.written import as_written

# The number of its line, and the object.
Numbered = tuple[int, dict[str, Any]]


def json_objects(source: Source) -> list[Numbered]:
    """Read the objects of a .jsonl file after the numbers of their lines; blank lines are none.

    Raises:
        DocumentError: a line that is no JSON object, named by its number.
    """
    try:
        lines = decode(source.read_bytes()).split("\n")
        return list(json_lines(lines, parse_float=as_written))
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
    records = [{field_key(key): cell_of(value) for key, value in one.items()} for _, one in objects]
    columns = dict.fromkeys(key for record in records for key in record)
    numbers = [number for number, _ in objects]
    nested = [
        (key, number)
        for number, one in objects
        for key, value in one.items()
        if value and is_nested(value)
    ]
    left = [
        entry
        for key in dict.fromkeys(key for key, _ in nested)
        for entry in left_out(f'objects under "{key}"', noun, [n for k, n in nested if k == key])
    ]
    return Table(tuple(columns), records, numbers, left_out=left)


def cell_of(value: object) -> Cell:
    """A JSON value as a cell; empty for null and for what has an inner structure."""
    if isinstance(value, list) and not is_nested(value):
        return tuple(str(one) for one in value if one is not None)
    return str(value) if isinstance(value, str | int | float) else ""
