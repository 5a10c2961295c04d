"""What a language model is shown before it is asked: passages, topics, and how people ask.

All of it is written for this purpose and about things that nobody's documents here are about, so
that a question which speaks of them gives itself away (`marks`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rag_app.questions.styles import CLAIM, KEYWORDS, OTHER, PROBLEM, QUESTION, TITLE, WORDINGS


@dataclass(frozen=True, slots=True)
class Example:
    """A passage, words that say what to ask about, a question, and words that only belong here.

    Fields:
        marks: in lower case; beginnings of words do.
        others: the same asked in other styles than a question.
    """

    passage: str
    topic: str
    question: str
    marks: tuple[str, ...]
    others: Mapping[str, str] = field(default_factory=dict)

    def asked(self, style: str) -> str:
        """What it asks in a style; empty where it has none."""
        return self.question if style == QUESTION else self.others.get(style, "")


@dataclass(frozen=True, slots=True)
class Labels:
    """What stands before a passage and its topic; before what is asked, see `styles`.

    `as_json` tells a model that follows instructions how to answer.
    """

    passage: str
    topic: str
    as_json: str


# Few and short: each slot of a local server evaluates them once before it can use them again.
ENGLISH = (
    Example(
        "Library card. Anyone who lives or works in the county can join free of charge. Bring a "
        "photo ID and a letter that shows your address.",
        "library card, letter, address",
        "what do i need to bring to get a library card, is a letter with my address enough",
        ("library card",),
        {
            KEYWORDS: "library card what to bring",
            CLAIM: "You need proof of address to join the library",
            PROBLEM: "I just moved here and want to borrow books, I have only my ID and a letter",
            TITLE: "Joining the library: what to take along",
        },
    ),
    Example(
        "Swimming pool: children. Children under 8 must be in the water with an adult. One adult "
        "may look after two children.",
        "children, adult",
        "can I take three children swimming if I'm the only adult?",
        ("swimming",),
        {
            KEYWORDS: "kids pool adult ratio",
            CLAIM: "One adult can take two small children swimming",
            PROBLEM: "I want to take my three little ones to the pool and my wife is away",
            TITLE: "How many children one grown-up may watch",
        },
    ),
    Example(
        "Dog licence renewal. Licences run out on 31 March. After 30 April a late fee of $20 is "
        "added.",
        "late fee, dog licence",
        "I forgot to renew my dog licence, is there a late fee?",
        ("dog licen",),
        {
            KEYWORDS: "dog licence late fee",
            CLAIM: "Renewing a dog licence in May costs $20 more",
            PROBLEM: "I completely forgot about my dog's licence and it is already June",
            TITLE: "What late renewal costs",
        },
    ),
    Example(
        "Pottery evening class. If you miss one Tuesday, you may join the Thursday group in the "
        "same week. Glazes are sold separately.",
        "miss, Thursday group",
        "if I miss one pottery class can I join the Thursday group",
        ("pottery", "thursday group", "glaze"),
        {
            KEYWORDS: "pottery missed class swap",
            CLAIM: "You can make up a missed pottery class on Thursday",
            PROBLEM: "I was ill on Tuesday and could not come to pottery",
            TITLE: "Making up for a missed evening",
        },
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
        {
            KEYWORDS: "도서관 회원가입 준비물",
            CLAIM: "도서관 회원 가입에는 주소를 확인할 서류가 필요하다",
            PROBLEM: "이사 온 지 얼마 안 됐는데 책을 빌리고 싶어요",
            TITLE: "도서관 가입할 때 챙길 것",
        },
    ),
    Example(
        "한지. 닥나무 껍질을 삶아 만든 종이로, 고려 시대에 중국으로 수출되었다. 질기고 오래가서 "
        "책과 창호에 쓰였다.",
        "나무, 종이",
        "한지를 만들 때 쓰는 나무는 무엇인가?",
        ("한지를", "닥나무"),
        {
            KEYWORDS: "한지 재료 나무",
            CLAIM: "한지는 닥나무 껍질로 만든다",
            PROBLEM: "창호지를 직접 만들어 보고 싶은데 재료를 모르겠어요",
            TITLE: "전통 종이의 재료와 쓰임",
        },
    ),
    Example(
        "반려견 등록 갱신. 등록은 매년 3월 31일에 끝납니다. 4월 30일이 지나면 과태료 2만 원이 "
        "붙습니다.",
        "갱신, 과태료",
        "반려견 등록 늦게 갱신하면 과태료가 얼마인가요?",
        ("반려견", "과태료"),
        {
            KEYWORDS: "반려견 등록 지연 벌금",
            CLAIM: "반려견 등록을 5월에 갱신하면 2만 원을 더 낸다",
            PROBLEM: "강아지 등록 갱신을 깜빡했는데 벌써 6월이네요",
            TITLE: "늦은 갱신에 드는 돈",
        },
    ),
    Example(
        "등대의 역사. 1903년 6월 인천 앞바다의 팔미도에 첫 등대가 세워졌다. 설계는 프랑스 기술자가 "
        "맡았다.",
        "팔미도, 등대",
        "팔미도에 처음 등대가 세워진 해는 언제인가?",
        ("팔미도", "등대"),
        {
            KEYWORDS: "우리나라 첫 등대 연도",
            CLAIM: "팔미도 등대는 1903년에 세워졌다",
            PROBLEM: "등대 숙제를 하는데 처음 생긴 해를 못 찾겠어요",
            TITLE: "인천 앞바다 첫 등대의 시작",
        },
    ),
)

# Any other language: examples in two show that a question is in its passage's language.
MIXED = tuple(example for pair in zip(ENGLISH[:2], KOREAN[2:], strict=True) for example in pair)

_ENGLISH_LABELS = Labels(
    "Passage:", "Topic:", 'Answer with a JSON object alone: {"text": "what you wrote"}.'
)
_KOREAN_LABELS = Labels(
    "지문:", "주제:", '다른 말 없이 JSON 객체로만 답하세요: {"text": "쓴 내용"}.'
)

EXAMPLES = {"en": ENGLISH, "ko": KOREAN, OTHER: MIXED}
LABELS_BY_LANGUAGE = {"en": _ENGLISH_LABELS, "ko": _KOREAN_LABELS, OTHER: _ENGLISH_LABELS}
LABELS = (
    *(label for one in (_ENGLISH_LABELS, _KOREAN_LABELS) for label in (one.passage, one.topic)),
    *(wording.label for key in ("en", "ko") for wording in WORDINGS[key].values()),
)
