"""JSON, one object a line -> objects, and a table of their scalars."""

import json
from typing import Any

from rag_app.documents.cells import Table
from rag_app.documents.content import field_key
from rag_app.documents.sources import Source
from rag_app.errors import DocumentError
from rag_app.text.normalise import decode


def json_objects(source: Source) -> list[dict[str, Any]]:
    """Read the objects of a .jsonl file; blank lines are passed over.

    Raises:
        DocumentError: a line that is no JSON object, named by its number.
    """
    # Not splitlines(): JSON strings may hold U+2028, which ends no line here.
    lines = decode(source.read_bytes()).split("\n")
    return [_object(line, number) for number, line in enumerate(lines, 1) if line.strip()]


def json_tables(source: Source) -> list[Table]:
    """Read a .jsonl file as one table; lists and objects inside are no cells."""
    return [object_table(json_objects(source))]


def object_table(objects: list[dict[str, Any]]) -> Table:
    """Make a table of objects; its columns are all their keys, in the order they turn up."""
    records = [{field_key(key): _cell(value) for key, value in one.items()} for one in objects]
    columns = dict.fromkeys(key for record in records for key in record)
    return Table(tuple(columns), records)


def _object(line: str, number: int) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"has a line {number} that is not JSON ({error}); mend it") from None
    if not isinstance(value, dict):
        raise DocumentError(f'has a line {number} that is no object; write {{"text": ...}} there')
    return value


def _cell(value: object) -> str:
    return str(value) if isinstance(value, str | int | float) else ""
