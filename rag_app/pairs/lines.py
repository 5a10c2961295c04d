"""JSON and JSON lines read so that an error names its line."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rag_app.errors import DocumentError, PairsError
from rag_app.text.normalise import decode


def read_json(path: Path) -> Any:
    """Read a JSON file in any encoding that documents are read in.

    Raises:
        PairsError: it is not JSON.
    """
    return _parse(_read(path), path, first_line=1)


def read_json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each object of a JSON-lines file after the place to name in errors; skip blank lines.

    Raises:
        PairsError: a line is not a JSON object.
    """
    # Not splitlines(): JSON may hold the other line ends that it knows.
    return parse_lines(_read(path).split("\n"), path)


def parse_lines(lines: Iterable[str], path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the object of each line that is not blank, after its place."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            place = f"{path}, line {number}"
            row = _parse(line, path, first_line=number)
            if not isinstance(row, dict):
                raise PairsError(f"{place} is not a JSON object; write one {{...}} on each line")
            yield place, row


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


def _parse(text: str, path: Path, *, first_line: int) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {first_line + error.lineno - 1}, column {error.colno}"
        raise PairsError(f"{path}, {place} is not JSON: {error.msg}; mend or remove it") from None
    except RecursionError:
        raise PairsError(f"{path}, line {first_line} is nested too deeply; remove it") from None
