"""An answer's sentences, numbers and quotations, held against the passages."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, pairwise

from rag_app.text.numbers import missing_numbers
from rag_app.text.scripts import HANGUL, has_hangul
from rag_app.text.sentences import Span, split_by_rules
from rag_app.text.words import syllable_pairs

# Share of a sentence's words that a passage must hold to be its source.
SUPPORT = 0.5
_MARK = re.compile(r"\s*\[(\d+)\]")
# "[1, 2]" is two marks, and "end. [1]" a mark of the sentence that ended.
_LIST_OF_MARKS = re.compile(r"\[(\d+(?:\s*[,;]\s*\d+)+)\]")
_AFTER_STOP = re.compile(r"""([.!?。]["'”’」』)]*)((?:\s*\[\d+\])+)""")
# What stands so in a passage, as "args[0]" or a footnote's "study[3]", is text and no mark.
_SUBSCRIPT = re.compile(r"[^\W\d]\w*(\[\d+\])+")
_OPEN = "\ue000"  # Of the private use area: stands for the bracket of a subscript meanwhile.
_LIST_MARK = re.compile(r"^(?:[-*+•]|\d{1,2}[.)])\s+")
# Not `terms`: an answer writes "3-hour" and "lock's" where the passage has "3 hours" and "lock".
_WORD = re.compile(rf"[{HANGUL}]+|[^\W_]+")

# Inside '…' and ‘…’ an apostrophe stands between letters.
_QUOTE = re.compile(
    r"""(?<!\w)"([^"\n]+)"|“([^”\n]+)”|「([^」\n]+)」|『([^』\n]+)』"""
    r"""|(?<!\w)['‘]((?:[^'‘’\n]|(?<=\w)['’](?=\w))+)['’](?!\w)"""
)
# Fewer words in single quotation marks are names and terms, or stand between two apostrophes.
SINGLE_QUOTED_WORDS = 3
_LEFT_OUT = re.compile(r"\.{3}|…|\[[^\]]*\]")
_TYPOGRAPHIC = str.maketrans("“”„«»‘’‚‐‑–—", '"""""\'\'\'----')


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of an answer without its marks, and the passages that support it, from 1.

    Fields:
        begins_line: it stands on a line of its own, as the items of a list do.
    """

    text: str
    sources: tuple[int, ...]
    begins_line: bool = False


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found out about an answer.

    `misquoted` holds the words in quotation marks that stand in no passage.
    """

    sentences: list[Sentence] = field(default_factory=list)
    misquoted: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The answer, each sentence with the marks of its sources; its lines stay lines."""
        marked = (
            ("\n" if s.begins_line else " ") + s.text + "".join(f" [{n}]" for n in s.sources)
            for s in self.sentences
        )
        return "".join(marked)[1:]

    @property
    def cited(self) -> list[int]:
        """The passages that support a sentence, in order of use."""
        return list(dict.fromkeys(chain.from_iterable(s.sources for s in self.sentences)))

    @property
    def unsupported(self) -> list[str]:
        """The sentences that no passage supports."""
        return [sentence.text for sentence in self.sentences if not sentence.sources]

    @property
    def support_ratio(self) -> float | None:
        """Share of the sentences that a passage supports; None where there is no sentence."""
        if not self.sentences:
            return None
        return 1 - len(self.unsupported) / len(self.sentences)


def check_citations(text: str, passages: Sequence[str]) -> Checked:
    """Hold an answer against the passages, as the model was shown them.

    A mark that names no passage, or one that does not support the sentence, is taken out. A
    sentence without a mark gets that of the passage which supports it best, if one does. A
    sentence that was put together from several passages keeps their marks if they support it
    together.
    """
    text = _SUBSCRIPT.sub(partial(_kept_subscript, passages=passages), text)
    text = _AFTER_STOP.sub(r"\2\1", _LIST_OF_MARKS.sub(_single_marks, text))
    spans = split_by_rules(text)
    gaps = (text[before:start] for (_, before), (start, _) in pairwise([(0, 0), *spans]))
    sentences = [
        replace(_checked(text[start:end], passages), begins_line="\n" in gap)
        for (start, end), gap in zip(spans, gaps, strict=True)
    ]
    misquoted = misquotations(_MARK.sub("", text).replace(_OPEN, "["), passages)
    return Checked([sentence for sentence in sentences if sentence.text], misquoted)


def support(sentence: str, passage: str) -> float:
    """Share of the sentence's words that stand in the passage; Korean by character pairs.

    0 if the passage lacks a number of the sentence: wrong amounts, days and dates in else familiar
    words are what weak models get wrong, and what does most harm. So a number that was computed
    counts as unsupported too, even where it is right; so does one that only the question names.
    """
    if missing_numbers(_LIST_MARK.sub("", sentence), passage):
        return 0.0
    return _shared_words(sentence, passage)


def best_sentence(sentence: str, passage: str) -> Span:
    """Where in the passage the sentence stands that shares most words with this one."""
    spans = split_by_rules(passage) or [(0, len(passage))]
    return max(spans, key=lambda span: _shared_words(sentence, passage[span[0] : span[1]]))


def misquotations(text: str, passages: Sequence[str]) -> list[str]:
    """The words in quotation marks that stand in no passage.

    White space, case, the kind of quotation marks and dashes, and a stop before the closing mark
    may differ; what the answer leaves out ("… ", "[...]") parts a quotation in two.
    """
    known = [_plain(passage) for passage in passages]
    return [quote for quote in _quotations(text) if not _is_quoted(quote, known)]


def _quotations(text: str) -> list[str]:
    found = []
    for match in _QUOTE.finditer(text):
        single = match[match.re.groups]
        if single is None or len(single.split()) >= SINGLE_QUOTED_WORDS:
            found.append(next(group for group in match.groups() if group is not None).strip())
    return [quote for quote in dict.fromkeys(found) if _WORD.search(quote)]


def _is_quoted(quote: str, passages: Sequence[str]) -> bool:
    pieces = [_plain(piece).strip(" .,;:!?。") for piece in _LEFT_OUT.split(quote)]
    return any(all(piece in passage for piece in pieces) for passage in passages)


def _plain(text: str) -> str:
    return " ".join(text.casefold().translate(_TYPOGRAPHIC).split())


def _kept_subscript(found: re.Match[str], passages: Sequence[str]) -> str:
    stands = any(found[0] in passage for passage in passages)
    return found[0].replace("[", _OPEN) if stands else found[0]


def _single_marks(marks: re.Match[str]) -> str:
    return "".join(f"[{n}]" for n in re.findall(r"\d+", marks[1]))


def _checked(sentence: str, passages: Sequence[str]) -> Sentence:
    plain = _MARK.sub("", sentence).replace(_OPEN, "[").strip()
    named = dict.fromkeys(int(n) for n in _MARK.findall(sentence))
    marks = tuple(n for n in named if 1 <= n <= len(passages))
    sources = tuple(n for n in marks if support(plain, passages[n - 1]) >= SUPPORT)
    return Sentence(plain, sources or _together(plain, marks, passages) or _best(plain, passages))


def _together(sentence: str, marks: tuple[int, ...], passages: Sequence[str]) -> tuple[int, ...]:
    cited = "\n".join(passages[n - 1] for n in marks)
    return marks if len(marks) > 1 and support(sentence, cited) >= SUPPORT else ()


def _best(sentence: str, passages: Sequence[str]) -> tuple[int, ...]:
    scores = [support(sentence, passage) for passage in passages]
    best = max(scores, default=0.0)
    return (scores.index(best) + 1,) if best >= SUPPORT else ()


def _shared_words(sentence: str, passage: str) -> float:
    wanted = _tokens(sentence)
    return len(wanted & _tokens(passage)) / len(wanted) if wanted else 0.0


def _tokens(text: str) -> set[str]:
    tokens: set[str] = set()
    for word in _WORD.findall(text.casefold()):
        tokens.update(syllable_pairs(word) if has_hangul(word[0]) else [word])
    return tokens
