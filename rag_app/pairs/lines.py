"""JSON and JSON lines read so that an error names its line."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rag_app.errors import DocumentError, PairsError
from rag_app.text.json_lines import BadLine, json_lines
from rag_app.text.normalise import decode


def read_json(path: Path) -> Any:
    """Read a JSON file in any encoding that documents are read in.

    Raises:
        PairsError: it is not JSON.
    """
    text = _read(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _not_json(error, path, first_line=1) from None


def read_json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each object of a JSON-lines file after the place to name in errors; skip blank lines.

    Raises:
        PairsError: a line is not a JSON object.
    """
    return parse_lines(_read(path).split("\n"), path)


def parse_lines(lines: Iterable[str], path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the object of each line that is not blank, after its place."""
    try:
        for number, row in json_lines(lines):
            yield f"{path}, line {number}", row
    except BadLine as bad:
        if bad.reason is None:
            raise PairsError(
                f"{path}, line {bad.number} is not a JSON object; write one {{...}} on each line"
            ) from None
        raise _not_json(bad.reason, path, first_line=bad.number) from None


def text_of(row: dict[str, Any], key: str, place: str) -> str:
    """A field that must be there and hold text.

    Raises:
        PairsError: it is missing, blank or no text.
    """
    if key not in row:
        found = ", ".join(map(repr, row)) or "none"
        raise PairsError(f"{place} has no field {key!r}; its fields are {found}")
    value = row[key]
    if not isinstance(value, str) or not value.strip():
        raise PairsError(f"{place}: {key!r} must be text, not {value!r}; mend or remove the line")
    return value


def _read(path: Path) -> str:
    try:
        return decode(path.read_bytes())
    except DocumentError as error:
        raise PairsError(f"{path} {error}") from None


def _not_json(error: Exception, path: Path, *, first_line: int) -> PairsError:
    """What JSON's reader said of a text that begins in a line of the file."""
    if isinstance(error, json.JSONDecodeError):
        place = f"line {first_line + error.lineno - 1}, column {error.colno}"
        return PairsError(f"{path}, {place} is not JSON: {error.msg}; mend or remove it")
    place = f"{path}, line {first_line}"
    if isinstance(error, RecursionError):
        return PairsError(f"{place} is nested too deeply; remove it")
    # A whole number of more than 4,300 digits.
    return PairsError(f"{place} cannot be read: {str(error).partition(';')[0]}; mend or remove it")
