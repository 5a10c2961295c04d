"""Text on a terminal or in a pipe: where lines are broken, and nothing is cut."""

import json
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rag_app.cli.streams import writes_all

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

Span = tuple[int, int]

LONGEST_MESSAGE = 1600
# A number's interval, [+.010, +.118], is one word.
_WORD = re.compile(r"\s*(?:\S*\[[+-]?[\d.]+, [+-]?[\d.]+\]\S*|\S+)\s*")
# Controls beyond those that JSON escapes, direction marks, halves of characters.
_UNPRINTED = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def print_wrapped(
    console: "Console",
    text: str,
    *,
    label: str = "",
    color: str = "",
    style: str = "",
    marked: Span = (0, 0),
    hang: int = 0,
    most: int | None = None,
) -> int:
    """Print text by someone else: the one place that breaks lines.

    On a terminal lines are broken between words and go on under their own indent; a word that is
    longer than the terminal is wide stays whole. In a pipe or a file lines stay as they are.

    Arguments:
        label: a word before the text, in `color`.
        style: of the text, as Rich names it.
        marked: characters of the text that are bold.
        hang: blanks before each further piece of a line that is broken.
        most: lines on a terminal; what is left out shows as an ellipsis. One line is not broken.
    Returns:
        how many lines were printed.
    """
    from rich.text import Text

    from rag_app.text.normalise import visible

    whole = Text()
    if label:
        whole.append(f"{label} ", style=color)
    whole.append(visible(text), style=style)
    whole.stylize("bold", *marked)
    given = whole.split("\n", allow_blank=True) or [whole]
    if console.is_terminal and most == 1:
        given[0].truncate(console.width, overflow="ellipsis")
        given = given[:1]
    elif console.is_terminal:
        given = [part for line in given for part in broken(line, console.width, hang)]
        given = cut_lines(given, most, console.width)
    for line in given:
        line.rstrip()
        console.print(line, soft_wrap=True)
    return len(given)


def cut_lines(lines: "Sequence[Text]", most: int | None, width: int) -> "list[Text]":
    """The first of these lines; the last of them ends with an ellipsis where more follow."""
    from rich.text import Text

    if most is None or len(lines) <= most:
        return list(lines)
    *kept, last = lines[:most]
    last = last.copy()
    last.rstrip()
    if not last.plain.endswith("…"):
        last.truncate(width - 2)
        last.append_text(Text(" …"))
    return [*kept, last]


def broken(line: "Text", width: int, hang: int = 0) -> "list[Text]":
    """A line in pieces that fit, broken at blanks; each begins with the line's indent and hang."""
    from rich.cells import cell_len
    from rich.text import Text

    indent = " " * (hang + len(line.plain) - len(line.plain.lstrip()))
    breaks, used = [], 0
    for word in _WORD.finditer(line.plain):
        if used + cell_len(word[0].rstrip()) > width and used > len(indent):
            breaks.append(word.start())
            used = len(indent)
        used += cell_len(word[0])
    first, *others = line.divide(breaks)
    return [first, *(Text(indent).append_text(other) for other in others)]


def print_json(values: dict[str, Any]) -> None:
    """One object on one line of standard output, handed over at once.

    What a terminal obeys or no encoding has is written as an escape: it is the same JSON.
    """
    line = json.dumps(values, ensure_ascii=not writes_all(sys.stdout.encoding))
    sys.stdout.write(_UNPRINTED.sub(lambda match: f"\\u{ord(match[0]):04x}", line) + "\n")
    # Who reads it through a pipe waits for it.
    sys.stdout.flush()


def shortened(text: str) -> str:
    """A message without the middle of what somebody typed or named at great length."""
    if len(text) <= LONGEST_MESSAGE:
        return text
    half = LONGEST_MESSAGE // 2
    return f"{text[:half]} [...] {text[-half:]}"


def shown(text: str) -> str:
    """Text by someone else for a terminal: no markup, and no controls that it would obey."""
    from rich.markup import escape

    from rag_app.text.normalise import visible

    return escape(visible(text))
