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


ENGLISH = (
    Example(
        "Library card. Anyone who lives, works or studies in the county can join free of charge. "
        "Bring a photo ID and a letter that shows your address. The card is printed while you "
        "wait and is valid for three years.",
        "library card, letter, address",
        "what do i need to bring to get a library card, is a letter with my address enough",
        ("library card",),
    ),
    Example(
        "Swimming pool: children. Children under 8 must be in the water with an adult. One adult "
        "may look after two children. Armbands are lent out free at the front desk against a "
        "deposit of $5.",
        "children, adult",
        "can I take three children swimming if I'm the only adult?",
        ("swimming", "armband"),
    ),
    Example(
        "Night trains with a bicycle. A bicycle needs its own ticket, which costs $9 and must be "
        "booked before departure. There are six hooks in the last carriage. Folding bicycles in a "
        "bag travel free as luggage.",
        "bicycle, ticket",
        "does my bicycle need its own ticket on the overnight train",
        ("bicycle", "overnight train", "night train"),
    ),
    Example(
        "Dog licence renewal. Licences run out on 31 March. Renew online from 1 February with the "
        "number on the old tag. After 30 April a late fee of $20 is added. A vet's rabies "
        "certificate must be uploaded.",
        "late fee, dog licence",
        "I forgot to renew my dog licence, is there a late fee?",
        ("dog licen", "rabies"),
    ),
    Example(
        "Campsite rules. Quiet hours are from 10 pm to 7 am. Generators may run between 9 am and "
        "6 pm only. Campfires are allowed in the iron rings; bring your own wood or buy a bag at "
        "the office.",
        "campfires, wood",
        "Are campfires allowed, and can I bring my own wood?",
        ("campfire", "campsite", "campground"),
    ),
    Example(
        "Pottery evening class. The course has eight Tuesdays. If you miss one, you may join the "
        "Thursday group in the same week. Clay and two firings are included in the fee; glazes "
        "are sold separately.",
        "miss, Thursday group",
        "if I miss one pottery class can I join the Thursday group",
        ("pottery", "thursday group", "glaze"),
    ),
)

KOREAN = (
    Example(
        "도서관 회원증 만들기. 우리 시에 살거나 직장, 학교를 다니는 분은 무료로 가입할 수 "
        "있습니다. 신분증과 주소가 적힌 서류를 가져오시면 그 자리에서 회원증을 드립니다. 유효 "
        "기간은 3년입니다.",
        "회원증, 신분증",
        "도서관 회원증 만들려면 신분증만 있으면 되나요?",
        ("도서관",),
    ),
    Example(
        "어린이 수영장 이용. 만 8세 미만 어린이는 보호자와 함께 물에 들어가야 합니다. 보호자 한 "
        "명이 두 명까지 돌볼 수 있습니다. 팔 튜브는 보증금 5천 원을 내면 빌려드립니다.",
        "수영장, 보호자",
        "애가 셋인데 보호자 한 명이 수영장 데려가도 되나요",
        ("수영장", "애가 셋"),
    ),
    Example(
        "야간 열차 자전거 휴대. 자전거는 9천 원짜리 별도 표가 필요하며 출발 전에 예약해야 합니다. "
        "마지막 칸에 거치대가 여섯 개 있습니다. 가방에 넣은 접이식 자전거는 무료입니다.",
        "자전거, 예약",
        "밤기차에 자전거 실으려면 예약 꼭 해야 돼요?",
        ("자전거", "밤기차"),
    ),
    Example(
        "반려견 등록 갱신. 등록은 매년 3월 31일에 끝납니다. 2월 1일부터 인식표 번호로 온라인 "
        "갱신이 됩니다. 4월 30일이 지나면 과태료 2만 원이 붙습니다. 광견병 예방 접종 증명서를 "
        "올려야 합니다.",
        "갱신, 과태료",
        "반려견 등록 갱신 깜빡했는데 과태료 나오나요?",
        ("반려견", "과태료", "광견병"),
    ),
    Example(
        "야영장 이용 수칙. 밤 10시부터 아침 7시까지는 조용히 해 주세요. 발전기는 오전 9시부터 오후 "
        "6시까지만 쓸 수 있습니다. 모닥불은 화로대 안에서만 피울 수 있고 장작은 매점에서 팝니다.",
        "모닥불, 장작",
        "야영장에서 모닥불 피우려면 장작 가져가야 하나요",
        ("야영장", "모닥불", "장작"),
    ),
    Example(
        "도자기 저녁반. 수업은 화요일마다 여덟 번입니다. 한 번 빠지면 같은 주 목요일 반에서 들을 "
        "수 있습니다. 흙과 가마 비용은 수강료에 들어 있고 유약은 따로 삽니다.",
        "목요일 반, 한 번",
        "도자기 수업 한 번 빠지면 목요일 반 가도 돼요?",
        ("도자기", "목요일 반"),
    ),
)

# Any other language: examples in two show that a question is in its passage's language.
MIXED = tuple(example for pair in zip(ENGLISH[:3], KOREAN[3:], strict=True) for example in pair)

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
    "안내문:",
    "주제:",
    "고객 질문:",
    "마지막 안내문으로 답할 수 있는 질문을 고객이 직접 입력하듯이 하나만 쓰세요. 짧고 구어체로, "
    "되도록 안내문과 다른 낱말로, 주제에 관해 물으세요. 안내문을 보지 않은 사람도 알아들을 수 "
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
