"""JSON, one object a line -> objects, and a table of their scalars."""

from typing import Any

from rag_app.documents.cells import Table
from rag_app.documents.content import field_key
from rag_app.documents.sources import Source
from rag_app.errors import DocumentError
from rag_app.text.json_lines import BadLine, json_lines
from rag_app.text.normalise import decode


def json_objects(source: Source) -> list[dict[str, Any]]:
    """Read the objects of a .jsonl file; blank lines are passed over.

    Raises:
        DocumentError: a line that is no JSON object, named by its number.
    """
    try:
        return [one for _, one in json_lines(decode(source.read_bytes()).split("\n"))]
    except BadLine as bad:
        if bad.reason is None:
            fault = 'is no object; write {"text": ...} there'
        else:
            fault = f"is not JSON ({bad.reason}); mend it"
        raise DocumentError(f"has a line {bad.number} that {fault}") from None


def json_tables(source: Source) -> list[Table]:
    """Read a .jsonl file as one table; lists and objects inside are no cells."""
    return [object_table(json_objects(source))]


def object_table(objects: list[dict[str, Any]]) -> Table:
    """Make a table of objects; its columns are all their keys, in the order they turn up.

    Objects are numbered from 1: there is no header.
    """
    records = [{field_key(key): _cell(value) for key, value in one.items()} for one in objects]
    columns = dict.fromkeys(key for record in records for key in record)
    return Table(tuple(columns), records, range(1, len(records) + 1))


def _cell(value: object) -> str:
    return str(value) if isinstance(value, str | int | float) else ""
