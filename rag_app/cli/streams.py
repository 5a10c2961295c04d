"""Standard input and output where their encoding is not UTF-8, or what is typed is not in it."""

import io
import sys


def prepare_streams() -> None:
    """Let no letter end a command: what cannot be decoded is refused by whoever reads the text.

    What the encoding of the output lacks is written as an escape, such as \\ud658.
    """
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not writes_all(stream.encoding):
            stream.reconfigure(errors="backslashreplace")


def writes_all(encoding: str | None) -> bool:
    """Whether every letter can be written."""
    return (encoding or "utf-8").lower().replace("-", "").startswith("utf")
