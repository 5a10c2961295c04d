"""Where sentences begin and end, as character spans of the text."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from rag_app.errors import ConfigError
from rag_app.text.scripts import HANGUL

Span = tuple[int, int]

# A sentence ends at its closing mark (with quotes or brackets after it) before white space, or at a
# line's end. Korean and English close alike; Chinese and Japanese marks need no space after them.
_END = re.compile(r"""(?<=[.!?…])["'”’»)\]]*(?=\s)|(?<=[。！？])(?![。！？])["'”’»」』）]*|\n+""")
# "3." or "a)" opens a list item, it does not close a sentence.
_LIST_MARK = re.compile(r"\s*(?:[-*+]\s+)?(?:\d{1,3}|[A-Za-z])[.)]$")
# Stops that close no sentence, some by what follows: "2024. 3. 5. 부터", "Dr. Kim", "No. 7",
# "Acme Inc. is".
_OPEN_STOP = re.compile(
    rf"""\d\.(?=[ \t][\d{HANGUL}])
    |\b(?:Dr|Mr|Mrs|Ms|Prof|vs|cf|[Ee]\.g|[Ii]\.e)\.(?=[ \t])
    |\b(?:Nos?|Figs?|Arts?|Secs?|Vols?|Ch|Eqs?|pp?)\.(?=[ \t]\d)
    |\b(?:Inc|Corp|Ltd|Co|approx|incl|U\.S|U\.K|[ap]\.m)\.(?=[ \t][a-z])""",
    re.VERBOSE,
)


def split_by_rules(text: str) -> list[Span]:
    """Split at closing marks and line ends; works for Korean and for European languages."""
    spans: list[Span] = []
    open_stops = {match.end() for match in _OPEN_STOP.finditer(text)}
    start = 0
    for match in _END.finditer(text):
        if match.end() <= start or match.end() in open_stops:
            continue
        if _LIST_MARK.match(text[start : match.end()]):
            continue
        _append_trimmed(spans, text, start, match.end())
        start = match.end()
    _append_trimmed(spans, text, start, len(text))
    return spans


def split_by_kiwi(text: str) -> list[Span]:
    """Split Korean by morphology (Kiwi), which also finds ends that carry no mark.

    Raises:
        ConfigError: the package kiwipiepy is not installed.
    """
    spans: list[Span] = []
    for line_start, line_end in _lines(text):
        for sentence in _kiwi().split_into_sents(text[line_start:line_end]):
            _append_trimmed(spans, text, line_start + sentence.start, line_start + sentence.end)
    return spans


@cache
def _kiwi() -> Any:
    try:
        from kiwipiepy import Kiwi
    except ImportError:
        raise ConfigError(
            "sentences = kiwi needs the package kiwipiepy; run `pip install 'rag-app[korean]'`"
        ) from None
    return Kiwi()


def _lines(text: str) -> list[Span]:
    return [match.span() for match in re.finditer(r"[^\n]+", text)]


def _append_trimmed(spans: list[Span], text: str, start: int, end: int) -> None:
    """Append the span less the white space at its ends, unless nothing is left."""
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    end -= len(piece) - len(piece.rstrip())
    if start < end:
        spans.append((start, end))


SENTENCE_SPLITTERS: dict[str, Callable[[str], list[Span]]] = {
    "rules": split_by_rules,
    "kiwi": split_by_kiwi,
}
