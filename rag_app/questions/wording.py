"""What a question's wording alone tells: no question, wrong length, a leaked prompt, a copy."""

import re
from collections import Counter
from collections.abc import Callable, Sequence

from rag_app.pairs import question_key
from rag_app.questions.examples import EXAMPLES, LABELS
from rag_app.text.scripts import HANGUL, is_cjk, scripts
from rag_app.text.words import bare_words

# Questions beyond these were cut off by the token limit, or ramble.
MOST_WORDS = 35
MOST_SYLLABLES = 80
LEAST_WORDS = 2
LEAST_SYLLABLES = 4
MOST_REPEATS = 2
# Copied: this share of a question stands in the passage, in runs of this many words or syllables.
COPIED_SHARE = 0.8
RUN_WORDS = 5
RUN_SYLLABLES = 10
# Shorter questions name things, they do not copy sentences.
LEAST_COPIED_WORDS = 4
LEAST_COPIED_SYLLABLES = 8

_LEAKS = re.compile(
    r"according to th(?:e|is) \w+|\b(?:passage|excerpt)s?\b"
    r"|(?:text|paragraph|information) above|above (?:text|paragraph|information)"
    r"|(?:the|this) (?:text|paragraph|article|document|context)\b"
    r"|(?:mentioned|described|stated|provided) (?:in|by) the|as an ai\b|multiple.choice"
    r"|(?:이|위|본|해당|주어진|제시된) ?(?:글|지문|본문|문단|문서|내용|안내문|텍스트)"
    r"(?:에|을|은|의|이|과|로|$)|지문|안내문|에 따르면|위에서 (?:언급|설명)",
    re.IGNORECASE,
)
# A mark, or a verb's ending that asks or, in short colloquial questions, may.
_KOREAN_ASKED = re.compile(r"[?？]|(?:요|까|죠|냐|니|나|데|지|[가인]가|뭐|왜|언제)[.!~ㅠㅜㅋ ]*$")
_LONG_WORDS = re.compile(rf"\w{{4,}}|[{HANGUL}]{{2,}}")
_LOOP = re.compile(r"(\S)\1{5}|(\w{2,})(?:\W+\2\b){2}", re.IGNORECASE)
_LEAST_MAIN_SHARE = 0.3


def not_a_question(question: str, passage: str) -> bool:
    """Nothing but marks, a statement, a stutter, or a script that the passage has not."""
    stated = question.rstrip().endswith((".", "。")) and not re.search("[?？]", question)
    empty = not bare_words(question)
    return stated or empty or _stutters(question) or _foreign_script(question, passage)


def not_asked(question: str, _passage: str) -> bool:
    """Korean that ends like no question: a small model repeats the passage or lists its words."""
    return is_cjk(question) and "HANGUL" in scripts(question) and not _KOREAN_ASKED.search(question)


def too_short(question: str, _passage: str) -> bool:
    """Too few words, or syllables where the language has syllables for letters."""
    if is_cjk(question):
        return len(units(question)) < LEAST_SYLLABLES
    return len(units(question)) < LEAST_WORDS


def too_long(question: str, _passage: str) -> bool:
    """More than a person types."""
    return len(units(question)) > (MOST_SYLLABLES if is_cjk(question) else MOST_WORDS)


def leaks_prompt(question: str, passage: str) -> bool:
    """Speaks of "the passage", repeats a label of the prompt, or asks about its examples."""
    folded, of_passage = question.casefold(), passage.casefold()
    phrases = [match[0] for match in _LEAKS.finditer(folded)]
    phrases += [label.casefold() for label in LABELS if label.casefold() in folded]
    phrases += [mark for mark in _EXAMPLE_MARKS if mark in folded]
    # A passage about a mountain pass may well speak of a passage.
    return question_key(question) in _EXAMPLE_KEYS or any(
        phrase not in of_passage for phrase in phrases
    )


def copied(question: str, passage: str) -> bool:
    """Nearly all of it stands in the passage, in runs too long to be chance."""
    own, run, least = units(question), RUN_WORDS, LEAST_COPIED_WORDS
    if is_cjk(question):
        run, least = RUN_SYLLABLES, LEAST_COPIED_SYLLABLES
    if len(own) < least:
        return False
    run = min(run, len(own))
    of_passage = set(_runs(units(passage, cjk=is_cjk(question)), run))
    covered = {
        place
        for start, piece in enumerate(_runs(own, run))
        if piece in of_passage
        for place in range(start, start + run)
    }
    return len(covered) >= COPIED_SHARE * len(own)


# In the order in which they are tried; the first that holds is the reason.
CHECKS: dict[str, Callable[[str, str], bool]] = {
    "no question": not_a_question,
    "not asked": not_asked,
    "too short": too_short,
    "too long": too_long,
    "leaks the prompt": leaks_prompt,
    "copied": copied,
}


def units(text: str, *, cjk: bool | None = None) -> Sequence[str]:
    """What a text's length is counted in: words, or letters where is_cjk holds."""
    found = bare_words(text)
    return "".join(found) if (is_cjk(text) if cjk is None else cjk) else found


def _runs(sequence: Sequence[str], length: int) -> list[tuple[str, ...]]:
    return [tuple(sequence[start : start + length]) for start in range(len(sequence) - length + 1)]


def _stutters(question: str) -> bool:
    """Small models fall into loops: "2000000000", "the code the code the code"."""
    most = max(Counter(_LONG_WORDS.findall(question.casefold())).values(), default=0)
    return bool(_LOOP.search(question)) or most > MOST_REPEATS


def _foreign_script(question: str, passage: str) -> bool:
    own, of_passage = scripts(question), scripts(passage)
    if not own or not of_passage:
        return False
    [(main, _)] = of_passage.most_common(1)
    strange = own.keys() - of_passage.keys() - {"LATIN"}
    return bool(strange) or own[main] < _LEAST_MAIN_SHARE * own.total()


_EXAMPLE_KEYS = {
    question_key(asked)
    for examples in EXAMPLES.values()
    for example in examples
    for asked in (example.question, *example.others.values())
}
_EXAMPLE_MARKS = [
    mark for examples in EXAMPLES.values() for example in examples for mark in example.marks
]
