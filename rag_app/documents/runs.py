"""Runs of text within a line that mean something: raised, lowered, struck out."""

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

# One number or several, as 1,2 and 3-5 are; or a sign.
_NUMBERS = r"\d{1,3}(?:[,;–-]\d{1,3}){0,9}|[*†‡§¶]{1,3}"
_NOTE = re.compile(rf"[\[(]?(?P<mark>{_NUMBERS})[\])]?")
_LETTER = re.compile(r"(?P<mark>[a-d](?:,[a-d]){0,3})")
_WORD = re.compile(r"[a-z]{3}$")
_SIGNED = re.compile(r"[-+−]\d+")
_CHARGE = re.compile(r"\d[-+−]")
_VARIABLE = re.compile(r"[a-z](?:[-+−]\d+)?")
_CURRENCY = "$€£¥₩"
# What is raised to a power: 10 and 2, a letter alone, a unit of length.
_BASE = re.compile(rf"(?<![\w.,^{_CURRENCY}])(?:10|2|[b-zA-HJ-Z]|[cdkm]m|ft|in|yd|mi)$")
# Any number and what stands in brackets, too, on one side of an equation: 7^3 = 343.
_TERM = re.compile(rf"(?:(?<![\w.,^{_CURRENCY}])\d+(?:\.\d+)?|[\w)]\))$")
# These may be words by themselves.
_WORD_OR_VARIABLE = re.compile(r"(?<![\w'’.])[aAI]$")
# Letters that are multiplied: E = mc^2.
_FACTORS = re.compile(r"[=≈≡×·÷]\s*\d*[A-Za-z]{1,3}$")
_OPERATOR = re.compile(r"\s*[=≈≡×·÷+−/]")
_EQUALS = re.compile(r"\s*[=≈≡×·÷]")
_EQUALLED = re.compile(r"(?:\d\s*[=≈≡]|[×·÷])\s*\d+(?:\.\d+)?$")
_SLASHES = ("/", "⁄")


class Run(NamedTuple):
    """A piece of a line that looks the same throughout.

    Fields:
        height: 1 where it is raised, -1 where it is lowered.
    """

    text: str
    height: int = 0
    is_struck: bool = False


def runs_text(runs: Iterable[Run]) -> str:
    """Write the runs of a line: a power as 10^6, a note as [1]; without what is struck out.

    >>> runs_text([Run("10"), Run("6", 1), Run(" users, "), Run("30", is_struck=True), Run("14")])
    '10^6 users, 14'
    """
    return "".join(written(list(runs)))


def written(runs: Sequence[Run]) -> list[str]:
    """Write each of the runs of a line, those that look alike at the first of them.

    >>> written([Run("10"), Run("1", 1), Run("2", 1), Run("30", is_struck=True)])
    ['10', '^12', '', '']
    """
    texts = [""] * len(runs)
    kept = [(at, run) for at, run in enumerate(runs) if not run.is_struck]
    pieces = [list(group) for _, group in groupby(kept, lambda pair: pair[1].height)]
    plain = ["".join(run.text for _, run in piece) for piece in pieces]
    for number, piece in enumerate(pieces):
        at, run = piece[0]
        if run.height == 0:
            for at, run in piece:
                texts[at] = run.text
            continue
        before = "".join(plain[max(number - 1, 0) : number])
        behind = "".join(plain[number + 1 : number + 2])
        mark = (raised if run.height > 0 else lowered)(plain[number], before, behind)
        texts[at] = plain[number] if mark is None else mark
    return texts


def raised(text: str, before: str, behind: str, *, is_link: bool = False) -> str | None:
    """Write a power, a note's number or a fraction; None of what reads well as it is: "1st".

    Arguments:
        before, behind: what it stands between.
        is_link: it leads somewhere, as notes do.
    """
    text = "".join(text.split())
    if text.isdecimal() and (behind.strip() in _SLASHES or behind.startswith("⁄")):
        return f" {text}" if before[-1:].isdecimal() else text
    if _SIGNED.fullmatch(text) or (_CHARGE.fullmatch(text) and before[-1:].isdecimal()):
        return f"^{text}"
    base = _BASE.search(before)
    # "2e" is French for second.
    if base and _VARIABLE.fullmatch(text) and (text != "e" or base[0].isalpha()):
        return f"^{text}"
    note = _NOTE.fullmatch(text) or (_LETTER.fullmatch(text) if _WORD.search(before) else None)
    if note is None:
        return None
    is_power = base or _in_equation(before, behind)
    return f"^{text}" if is_power and text.isdecimal() and not is_link else f" [{note['mark']}]"


def _in_equation(before: str, behind: str) -> bool:
    """Whether a number, brackets or letters that may be words are a part of a formula."""
    if _FACTORS.search(before):
        return True
    if _TERM.search(before):
        return bool(_EQUALS.match(behind) or _EQUALLED.search(before))
    return bool(_WORD_OR_VARIABLE.search(before) and _OPERATOR.match(behind))


def lowered(text: str, before: str, behind: str) -> str | None:
    """Write a number beside another, which would read as one: log_10 100; None else: H2O."""
    text = "".join(text.split())
    joins_behind = behind[:1].isdecimal()
    if not text.isdecimal() or not (before[-1:].isdecimal() or joins_behind):
        return None
    return f"_{text} " if joins_behind else f"_{text}"
