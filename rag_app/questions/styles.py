"""Ways to ask: as a question, as key words, as a claim, as a problem, as a title; a sentence.

People do not only ask questions: they type key words into a search box, state what they believe,
tell what happened to them. One table says for each way what a language model is told and how its
answer must read; what the examples ask in each way stands beside them (`examples.py`).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from rag_app.errors import ConfigError

QUESTION = "question"
KEYWORDS = "keywords"
CLAIM = "claim"
PROBLEM = "problem"
TITLE = "title"
# One of the passage's own; no language model is told to write it.
SENTENCE = "sentence"
OTHER = "other"
# How far shares may be from 1 together, as decimals of a command line are.
_ROUNDING = 0.01


@dataclass(frozen=True, slots=True)
class Wording:
    """One way to ask in one language.

    Fields:
        label: what stands before it in a prompt.
        instruction: the sentences for a model that follows some.
        grammar: how a base model's answer must read, in llama.cpp's GBNF; empty: as it likes.
    """

    label: str
    instruction: str
    grammar: str = ""


_ENGLISH = {
    QUESTION: Wording(
        "Customer question:",
        "Write one question that a customer would type and that the last passage answers. Be short "
        "and colloquial, use other words than the passage where you can, and ask about the topic. "
        "The question must make sense to someone who has not seen the passage. Write it in the "
        "language of the passage.",
    ),
    KEYWORDS: Wording(
        "Search words:",
        "Write the two to five words that someone would type into a search box to find the last "
        "passage. Prefer words that people use to words of the passage, and keep to the topic. "
        "Write them in the language of the passage.",
    ),
    CLAIM: Wording(
        "Claim:",
        "Write one short statement that someone might want to check and that the last passage "
        "confirms. Use other words than the passage where you can, and keep to the topic. Write "
        "it in the language of the passage.",
    ),
    PROBLEM: Wording(
        "Problem:",
        "Write one or two short sentences in which a customer tells, as I, what happened to them, "
        "so that the last passage helps. Use other words than the passage, and keep to the topic. "
        "Write them in the language of the passage.",
    ),
    TITLE: Wording(
        "Title:",
        "Write a title of three to eight words for what the last passage says about the topic, in "
        "other words than the passage's own title. Write it in the language of the passage. ",
    ),
}
_KOREAN = {
    QUESTION: Wording(
        "질문:",
        "마지막 지문으로 답할 수 있는 질문을 고객이 직접 입력하듯이 하나만 쓰세요. 짧고 구어체로, "
        "되도록 지문과 다른 낱말로, 주제에 관해 물으세요. 지문을 보지 않은 사람도 알아들을 수 "
        "있어야 합니다.",
        r'root ::= [^\n.?!"0-9] [^\n.?!"]{3,45} '
        '("나요?" | "까?" | "가?" | "가요?" | "죠?" | "어요?" | "돼요?")',
    ),
    KEYWORDS: Wording(
        "검색어:",
        "마지막 지문을 찾으려는 사람이 검색창에 입력할 낱말을 두 개에서 다섯 개 쓰세요. 되도록 "
        "지문의 낱말보다 사람들이 쓰는 낱말로, 주제에 맞게 쓰세요.",
        r'root ::= [^\n.?!",:0-9 ]{1,12} (" " [^\n.?!",: ]{1,12}){1,4} "\n"',
    ),
    CLAIM: Wording(
        "주장:",
        "누군가 확인하고 싶어 할 만하고 마지막 지문이 뒷받침하는 짧은 문장을 하나 쓰세요. 되도록 "
        "지문과 다른 낱말로, 주제에 관해 쓰세요.",
        r'root ::= [^\n.?!"0-9] [^\n.?!"]{6,60} "다."',
    ),
    PROBLEM: Wording(
        "상황:",
        "마지막 지문이 도움이 되도록, 고객이 자기에게 일어난 일을 직접 말하는 짧은 문장을 하나나 "
        "둘 쓰세요. 지문과 다른 낱말로, 주제에 관해 쓰세요.",
        r'root ::= [^\n.?!"0-9] [^\n.?!"]{6,60} ("어요." | "네요." | "습니다." | "데요.")',
    ),
    TITLE: Wording(
        "제목:",
        "마지막 지문이 주제에 관해 말하는 것에 세 낱말에서 여덟 낱말의 제목을 붙이세요. 지문의 "
        "제목과는 다른 낱말로 쓰세요.",
        r'root ::= [^\n.?!"0-9] [^\n.?!"]{4,40} "\n"',
    ),
}
# Language -> style -> wording; a passage in another language is written about in its own.
WORDINGS: Mapping[str, Mapping[str, Wording]] = {"en": _ENGLISH, "ko": _KOREAN, OTHER: _ENGLISH}
STYLES = tuple(_ENGLISH)
Shares = Mapping[str, float]
ONLY_QUESTIONS: Shares = {QUESTION: 1.0}


def read_shares(text: str) -> Shares:
    """Shares as a command line gives them: "question=0.5,keywords=0.5".

    Raises:
        ConfigError: an unknown style, no number, or numbers that are not shares of a whole.
    """
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = (piece.strip() for piece in part.partition("="))
        if name in shares:
            raise _no_shares(text, f"{name!r} is there twice")
        try:
            shares[name] = float(number)
        except ValueError:
            raise _no_shares(text, f"{part.strip()!r} is no style with its share") from None
    check_shares(shares)
    return shares


def check_shares(shares: Shares) -> None:
    """Refuse shares that cannot be followed.

    Raises:
        ConfigError: as of `read_shares`.
    """
    named = ",".join(f"{name}={share:g}" for name, share in shares.items())
    if unknown := sorted(shares.keys() - {*STYLES, SENTENCE}):
        raise _no_shares(named, f"there is no style {unknown[0]!r}")
    if not all(0 <= share <= 1 for share in shares.values()):
        raise _no_shares(named, "a share is a number from 0 to 1")
    if abs(sum(shares.values()) - 1) > _ROUNDING:
        raise _no_shares(named, f"the shares make {sum(shares.values()):g} together, not 1")


def _no_shares(given: str, found: str) -> ConfigError:
    return ConfigError(
        f"--styles is {given!r}: {found}; give shares that make 1 together, such as "
        f"question=0.6,keywords=0.4; the styles are {', '.join(STYLES)}, and {SENTENCE} without a "
        "language model"
    )


def shares_key(shares: Shares) -> str:
    """Hash of shares, 8 hex digits; empty where only questions are asked."""
    wanted = {name: float(share) for name, share in sorted(shares.items()) if share}
    if wanted.keys() == {QUESTION}:
        return ""
    return hashlib.sha256(json.dumps(wanted).encode()).hexdigest()[:8]


def style_of(chunk_id: str, number: int, shares: Shares) -> str:
    """The style of a chunk's question of this number, counted from 0: always the same.

    The chunks begin at different places, so that one question each keeps to the shares as well;
    from number to number a golden section further, so that one chunk's questions are spread.
    """
    place = int(hashlib.sha256(chunk_id.encode()).hexdigest()[:8], 16) / 0x1_0000_0000
    place = (place + number * 0.618034) % 1.0
    wanted = [(name, shares[name]) for name in STYLES if shares.get(name)]
    for name, share in wanted:
        if place < share:
            return name
        place -= share
    return wanted[-1][0]
