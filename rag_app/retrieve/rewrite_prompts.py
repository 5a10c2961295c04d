"""What a language model is told when it rewrites a question: rules, or examples to go on from."""

PROMPT_VERSION = "r1"

_RULES = {
    "multi_query": (
        "Write {count} other ways to ask the question below, in its language, one a line, nothing "
        "else. Use other words, as a document that answers it would. Do not answer it."
    ),
    "hyde": (
        "Write a short passage, in the question's language, that could stand in a help centre and "
        "answers the question below. Invent what you do not know. Write only the passage."
    ),
}

# A model that only continues text is shown the pattern, in the question's language.
_EXAMPLES = {
    ("multi_query", "en"): (
        "Question: can i bring my dog on the bus\n"
        "Asked differently:\n"
        "1. Are pets allowed on buses?\n"
        "2. What are the rules for animals in public transport?\n"
        "3. Does a dog need a ticket for the bus?\n\n"
        "Question: how late is the library open on fridays\n"
        "Asked differently:\n"
        "1. What are the opening hours of the library on Friday?\n"
        "2. When does the library close at the end of the week?\n"
        "3. Friday closing time of the library\n\n"
        "Question: {question}\n"
        "Asked differently:\n1."
    ),
    ("multi_query", "ko"): (
        "질문: 버스에 강아지 데리고 타도 되나요\n"
        "다르게 묻기:\n"
        "1. 버스에 반려동물과 함께 탑승할 수 있습니까?\n"
        "2. 대중교통 이용 시 동물 동반 규정\n"
        "3. 반려견도 버스 요금을 내야 합니까?\n\n"
        "질문: 금요일에 도서관 몇시까지 해요\n"
        "다르게 묻기:\n"
        "1. 금요일 도서관 운영 시간은 어떻게 됩니까?\n"
        "2. 도서관 폐관 시각 안내\n"
        "3. 주말 전날 열람실 이용 가능 시간\n\n"
        "질문: {question}\n"
        "다르게 묻기:\n1."
    ),
    ("hyde", "en"): (
        "Question: can i bring my dog on the bus\n"
        "Answer in the handbook: Dogs travel free of charge on all city buses. Large dogs must be "
        "kept on a lead and wear a muzzle; small animals may travel in a closed carrier.\n\n"
        "Question: how late is the library open on fridays\n"
        "Answer in the handbook: The library is open from Monday to Friday from 9:00 to 18:00 and "
        "on Saturdays from 10:00 to 14:00. Books can be returned in the box at any time.\n\n"
        "Question: {question}\n"
        "Answer in the handbook:"
    ),
    ("hyde", "ko"): (
        "질문: 버스에 강아지 데리고 타도 되나요\n"
        "안내문의 답: 반려동물은 이동장에 넣은 경우에 한하여 버스에 탑승할 수 있습니다. 안내견은 "
        "이동장 없이 동반할 수 있으며 별도 요금은 없습니다.\n\n"
        "질문: 금요일에 도서관 몇시까지 해요\n"
        "안내문의 답: 도서관은 월요일부터 금요일까지 오전 9시부터 오후 6시까지 운영합니다. "
        "토요일은 오후 2시에 폐관하며 일요일과 공휴일은 쉽니다.\n\n"
        "질문: {question}\n"
        "안내문의 답:"
    ),
}

KINDS = tuple(_RULES)


def prompt_for(kind: str, question: str, count: int, language: str, *, instructed: bool) -> str:
    """The prompt that rewrites one question.

    Arguments:
        kind: one of KINDS.
        count: questions wanted, at most.
        language: the question's, as `guess_language` names it.
        instructed: whether the model follows instructions; else it continues examples.
    """
    if instructed:
        return f"{_RULES[kind].format(count=count)}\n\nQuestion: {question}"
    return _EXAMPLES[kind, "ko" if language == "ko" else "en"].format(question=question)
