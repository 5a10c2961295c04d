"""What a language model is shown before it is asked: passages, topics, and how people ask.

All of it is written for this purpose and about things that nobody's documents here are about, so
that a question which speaks of them gives itself away (`marks`).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Example:
    """A passage, words that say what to ask about, a question, and words that only belong here.

    Fields:
        marks: in lower case; beginnings of words do.
    """

    passage: str
    topic: str
    question: str
    marks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Labels:
    """What stands before each part of an example, and the sentence for models that follow one."""

    passage: str
    topic: str
    question: str
    instruction: str


# Few and short: each slot of a local server evaluates them once before it can use them again.
ENGLISH = (
    Example(
        "Library card. Anyone who lives or works in the county can join free of charge. Bring a "
        "photo ID and a letter that shows your address.",
        "library card, letter, address",
        "what do i need to bring to get a library card, is a letter with my address enough",
        ("library card",),
    ),
    Example(
        "Swimming pool: children. Children under 8 must be in the water with an adult. One adult "
        "may look after two children.",
        "children, adult",
        "can I take three children swimming if I'm the only adult?",
        ("swimming",),
    ),
    Example(
        "Dog licence renewal. Licences run out on 31 March. After 30 April a late fee of $20 is "
        "added.",
        "late fee, dog licence",
        "I forgot to renew my dog licence, is there a late fee?",
        ("dog licen",),
    ),
    Example(
        "Pottery evening class. If you miss one Tuesday, you may join the Thursday group in the "
        "same week. Glazes are sold separately.",
        "miss, Thursday group",
        "if I miss one pottery class can I join the Thursday group",
        ("pottery", "thursday group", "glaze"),
    ),
)

# With a question word each: shown questions that "yes" answers, a small model repeats the passage.
KOREAN = (
    Example(
        "도서관 회원증. 우리 시에 살거나 직장을 다니는 분은 무료로 가입할 수 있습니다. 신분증과 "
        "주소가 적힌 서류를 가져오세요.",
        "회원증, 서류",
        "도서관 회원증 만들려면 뭘 가져가야 하나요?",
        ("도서관",),
    ),
    Example(
        "한지. 닥나무 껍질을 삶아 만든 종이로, 고려 시대에 중국으로 수출되었다. 질기고 오래가서 "
        "책과 창호에 쓰였다.",
        "나무, 종이",
        "한지를 만들 때 쓰는 나무는 무엇인가?",
        ("한지를", "닥나무"),
    ),
    Example(
        "반려견 등록 갱신. 등록은 매년 3월 31일에 끝납니다. 4월 30일이 지나면 과태료 2만 원이 "
        "붙습니다.",
        "갱신, 과태료",
        "반려견 등록 늦게 갱신하면 과태료가 얼마인가요?",
        ("반려견", "과태료"),
    ),
    Example(
        "등대의 역사. 1903년 6월 인천 앞바다의 팔미도에 첫 등대가 세워졌다. 설계는 프랑스 기술자가 "
        "맡았다.",
        "팔미도, 등대",
        "팔미도에 처음 등대가 세워진 해는 언제인가?",
        ("팔미도", "등대"),
    ),
)

# Any other language: examples in two show that a question is in its passage's language.
MIXED = tuple(example for pair in zip(ENGLISH[:2], KOREAN[2:], strict=True) for example in pair)

_ENGLISH_LABELS = Labels(
    "Passage:",
    "Topic:",
    "Customer question:",
    "Write one question that a customer would type and that the last passage answers. Be short "
    "and colloquial, use other words than the passage where you can, and ask about the topic. "
    "The question must make sense to someone who has not seen the passage. Write it in the "
    "language of the passage. Answer with the question alone.",
)
_KOREAN_LABELS = Labels(
    "지문:",
    "주제:",
    "질문:",
    "마지막 지문으로 답할 수 있는 질문을 고객이 직접 입력하듯이 하나만 쓰세요. 짧고 구어체로, "
    "되도록 지문과 다른 낱말로, 주제에 관해 물으세요. 지문을 보지 않은 사람도 알아들을 수 "
    "있어야 합니다. 질문만 쓰세요.",
)

OTHER = "other"
EXAMPLES = {"en": ENGLISH, "ko": KOREAN, OTHER: MIXED}
LABELS_BY_LANGUAGE = {"en": _ENGLISH_LABELS, "ko": _KOREAN_LABELS, OTHER: _ENGLISH_LABELS}
LABELS = tuple(
    label
    for labels in (_ENGLISH_LABELS, _KOREAN_LABELS)
    for label in (labels.passage, labels.topic, labels.question)
)
