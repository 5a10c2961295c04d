"""Ways to ask: shares, prompts and answers of each, what a text gives without a language model."""

from collections import Counter
from dataclasses import replace

import pytest
from test_questions import (
    FREIGHT,
    KOREAN_TEXT,
    REFUND,
    Parrot,
    asked,
    filtered,
    make_node,
)

from rag_app.errors import ConfigError
from rag_app.questions.examples import EXAMPLES
from rag_app.questions.extract import (
    EXTRACTED,
    OF_BARE,
    OF_HEADED,
    Worded,
    extract_questions,
)
from rag_app.questions.prompts import PROMPT_VERSION, PromptWriter, read_answer
from rag_app.questions.rarity import Rarity
from rag_app.questions.styles import (
    CLAIM,
    KEYWORDS,
    ONLY_QUESTIONS,
    PROBLEM,
    QUESTION,
    SENTENCE,
    STYLES,
    TITLE,
    WORDINGS,
    read_shares,
    shares_key,
    style_of,
)
from rag_app.questions.writers import ModelWriter, TextWriter

RARITY = Rarity([REFUND, FREIGHT])


def test_shares_are_read_in_any_order_and_with_blanks() -> None:
    assert read_shares("keywords=0.25, question=.75") == {KEYWORDS: 0.25, QUESTION: 0.75}


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("", "'' is no style with its share"),
        ("question", "'question' is no style with its share"),
        ("riddle=1", "there is no style 'riddle'; give shares"),
        ("question=2,claim=-1", "a share is a number from 0 to 1"),
        ("question=nan", "a share is a number from 0 to 1"),
        ("question=1,question=1", "'question' is there twice"),
        ("question=0.5,claim=0.2", "the shares make 0.7 together, not 1"),
    ],
)
def test_shares_that_cannot_be_followed(given: str, found: str) -> None:
    with pytest.raises(ConfigError, match=found) as raised:
        read_shares(given)
    assert "the styles are question, keywords, claim, problem, title" in str(raised.value)


@pytest.mark.parametrize("numbers", [1, 4])
def test_chunks_keep_to_the_shares_with_few_questions_and_with_many(numbers: int) -> None:
    shares = {QUESTION: 0.5, KEYWORDS: 0.3, TITLE: 0.2}
    count = Counter(
        style_of(f"chunk {chunk}", number, shares)
        for chunk in range(1000)
        for number in range(numbers)
    )
    assert set(count) == set(shares)
    for style, share in shares.items():
        assert count[style] / count.total() == pytest.approx(share, abs=0.04)


def test_one_chunks_questions_are_of_different_styles() -> None:
    halves = {QUESTION: 0.5, CLAIM: 0.5}
    # A golden section apart, two of three neighbours are never in the same half.
    for chunk in map(str, range(20)):
        assert len({style_of(chunk, number, halves) for number in range(3)}) == 2


def test_every_style_has_wordings_and_examples_in_every_language() -> None:
    for language, examples in EXAMPLES.items():
        assert set(WORDINGS[language]) == set(STYLES)
        assert all(example.asked(style) for example in examples for style in STYLES)


@pytest.mark.parametrize(
    ("text", "style", "end"),
    [
        (REFUND, KEYWORDS, "Search words:"),
        (REFUND, PROBLEM, "Problem:"),
        (KOREAN_TEXT, CLAIM, "주장:"),
        (KOREAN_TEXT, TITLE, "제목:"),
    ],
)
def test_a_prompt_shows_and_asks_for_its_style(text: str, style: str, end: str) -> None:
    writer = PromptWriter(Rarity([text]), follows_instructions=False)
    [prompt] = writer.prompts(make_node(text), [0], [style])
    language = "ko" if text == KOREAN_TEXT else "en"
    assert prompt.endswith(f"\n{end}")
    assert all(f"{end} {one.asked(style)}\n" in prompt for one in EXAMPLES[language])
    assert WORDINGS[language][QUESTION].label not in prompt
    instructed = PromptWriter(Rarity([text]), follows_instructions=True)
    assert instructed.prompts(make_node(text), [0], [style])[0].startswith(
        WORDINGS[language][style].instruction
    )


def test_a_claim_loses_its_full_stop_and_a_question_keeps_what_tells_that_it_is_none() -> None:
    assert read_answer(" Claim: Refunds take a week. ", CLAIM) == "Refunds take a week"
    assert read_answer("환불은 닷새 걸린다.", CLAIM) == "환불은 닷새 걸린다"
    assert read_answer("Refunds take a week.") == "Refunds take a week."


def test_the_writer_keeps_the_style_beside_what_was_written() -> None:
    writer = ModelWriter(Parrot(), RARITY, shares={KEYWORDS: 1.0})
    written: dict[int, list[Worded]] = {}
    writer.write([(make_node(REFUND), range(1))], seed=1, on_written=written.__setitem__)
    assert written == {0: [Worded("question 0?", KEYWORDS)]}


def test_other_shares_are_another_version_of_the_prompt() -> None:
    versions = [
        ModelWriter(Parrot(), RARITY, shares=shares).prompt_version
        for shares in (ONLY_QUESTIONS, {QUESTION: 1.0, CLAIM: 0.0}, {CLAIM: 1.0})
    ]
    assert versions == [
        PROMPT_VERSION,
        PROMPT_VERSION,
        f"{PROMPT_VERSION}-{shares_key({CLAIM: 1})}",
    ]


def test_korean_that_asks_nothing_is_dropped_as_a_question_only() -> None:
    node = make_node(KOREAN_TEXT)
    question = asked("환불 계좌 입금 시기", node)
    assert filtered([question], [node]).dropped == {"not asked": 1}
    assert filtered([replace(question, style=KEYWORDS)], [node]).dropped == {}


def test_without_a_language_model_the_styles_that_a_text_has() -> None:
    text = f"## How to pay\n\nQ: Can I pay by card?\n{REFUND}"
    node = make_node(text, title="Payments")
    [title] = extract_questions(node, Rarity([text]), 9, styles=[TITLE])
    assert title == Worded("Payments How to pay", TITLE)
    found = extract_questions(node, Rarity([text]), 9, styles=EXTRACTED)
    assert [one.style for one in found[:4]] == [QUESTION, TITLE, SENTENCE, SENTENCE]
    assert {one.style for one in found[4:]} == {KEYWORDS}
    with pytest.raises(ConfigError, match="names none of question, title, sentence, keywords"):
        TextWriter(RARITY, usual=OF_HEADED, shares={CLAIM: 1.0})
    with pytest.raises(ConfigError, match="sentence, which is taken from the text itself"):
        ModelWriter(Parrot(), RARITY, shares={QUESTION: 0.5, SENTENCE: 0.5})
    writers = [
        TextWriter(RARITY, usual=OF_HEADED),
        TextWriter(RARITY, usual=OF_HEADED, shares={TITLE: 1.0}),
        TextWriter(RARITY, usual=OF_BARE),
        TextWriter(RARITY, usual=OF_BARE, shares=dict.fromkeys(OF_HEADED, 1 / 3)),
    ]
    versions = [writer.prompt_version for writer in writers]
    assert versions == ["v1", "v1-title", "v1-question.sentence", "v1"]
