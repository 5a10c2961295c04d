"""Answers are held against their passages: sentences, numbers, quotations."""

from collections.abc import Sequence

import pytest

from rag_app.answer.citations import best_sentence, check_citations, misquotations, support
from rag_app.text.numbers import missing_numbers

REFUND = "Refunds are paid within five working days to the card that was charged."
PARCEL = "Parcels over thirty kilograms are delivered by a freight company."
HOURS = "The shop is open from nine to six."


def found(text: str, passages: Sequence[str]) -> tuple[str, list[int], list[str]]:
    """The answer with its marks, the passages it cites, the sentences that none supports."""
    checked = check_citations(text, passages)
    return checked.text, checked.cited, checked.unsupported


def test_a_right_mark_stays() -> None:
    text = "Refunds are paid within five working days [1]."
    checked = check_citations(text, [REFUND, PARCEL])
    assert checked.text == "Refunds are paid within five working days. [1]"
    assert (checked.cited, checked.unsupported, checked.misquoted) == ([1], [], [])


def test_a_mark_that_names_no_passage_is_taken_out() -> None:
    text, cited, unsupported = found(
        "Refunds are paid within five working days [1][7].", [REFUND, PARCEL]
    )
    assert (text, cited) == ("Refunds are paid within five working days. [1]", [1])
    assert unsupported == []


@pytest.mark.parametrize("mark", [0, 3, 99])
def test_marks_out_of_range_alone_leave_none(mark: int) -> None:
    text, cited, unsupported = found(f"Elephants sleep upright [{mark}].", [REFUND, HOURS])
    assert (text, cited) == ("Elephants sleep upright.", [])
    assert unsupported == ["Elephants sleep upright."]


def test_a_wrong_mark_is_replaced_by_the_passage_that_says_so() -> None:
    text, cited, _ = found("Refunds are paid within five working days [2].", [REFUND, PARCEL])
    assert (text, cited) == ("Refunds are paid within five working days. [1]", [1])


def test_a_missing_mark_is_put_in() -> None:
    text, cited, _ = found("Parcels over thirty kilograms go by freight.", [REFUND, PARCEL])
    assert (text, cited) == ("Parcels over thirty kilograms go by freight. [2]", [2])


def test_what_no_passage_says_is_listed() -> None:
    text, cited, unsupported = found(
        "Refunds are paid within five working days. Customers love our friendly penguins.",
        [REFUND, PARCEL],
    )
    assert unsupported == ["Customers love our friendly penguins."]
    assert text.endswith("Customers love our friendly penguins.")
    assert cited == [1]


def test_sentences_keep_their_own_sources_in_order_of_use() -> None:
    text, cited, unsupported = found(
        "Parcels over thirty kilograms are delivered by freight [2]. Refunds are paid within five "
        "working days [1].",
        [REFUND, PARCEL],
    )
    assert cited == [2, 1]
    assert unsupported == []
    assert text == (
        "Parcels over thirty kilograms are delivered by freight. [2] "
        "Refunds are paid within five working days. [1]"
    )


def test_a_subscript_that_a_passage_has_is_text_and_no_mark() -> None:
    passages = ["Opening hours are 9 to 18.", "The script takes its name from args[0]."]
    checked = check_citations("The script takes its name from args[0] [2].", passages)
    assert checked.text == "The script takes its name from args[0]. [2]"
    # Such a mark stands in no passage.
    assert check_citations("Opening hours are 9 to 18[1].", passages).text == (
        "Opening hours are 9 to 18. [1]"
    )


def test_marks_after_the_full_stop_belong_to_the_sentence_before() -> None:
    text, cited, unsupported = found(
        "Refunds are paid within five working days. [1] "
        "Parcels over thirty kilograms are delivered by freight. [2] "
        "The shop is open from nine to six. [3]",
        [REFUND, PARCEL, HOURS],
    )
    assert cited == [1, 2, 3]
    assert unsupported == []
    assert text.count("[") == 3


def test_korean_is_compared_by_pairs_of_characters() -> None:
    passages = ["환불은 영업일 기준 5일 이내에 처리됩니다.", "매장은 아침 9시에 엽니다."]
    text, cited, unsupported = found(
        "환불은 5일 이내에 처리되며, 매장과 무관합니다 [2]. 매장은 9시에 엽니다.", passages
    )
    assert cited == [1, 2]
    assert unsupported == []
    assert text.endswith("매장은 9시에 엽니다. [2]")
    assert check_citations("코끼리는 서서 잠을 잡니다 [1].", passages).unsupported == [
        "코끼리는 서서 잠을 잡니다."
    ]


def test_support_is_the_share_of_words_that_the_passage_holds() -> None:
    assert support("shop closed nine", "The shop is open from nine to six.") == 2 / 3
    assert support("환불은", "환불 안내") == 1 / 2  # of 환불, 불은
    assert support("...", "anything") == 0.0


def test_the_support_ratio_is_the_share_of_supported_sentences() -> None:
    text = "Refunds are paid within five working days. Penguins love it. Elephants too!"
    assert check_citations(text, [REFUND, PARCEL]).support_ratio == pytest.approx(1 / 3)
    assert check_citations("", [REFUND]).support_ratio is None


def test_what_two_passages_say_together_keeps_both_marks() -> None:
    passages = ["Express costs 15 dollars.", "Standard costs 6 dollars."]
    assert found("Express costs 15 and standard 6 dollars [1][2].", passages)[1:] == ([1, 2], [])
    assert found("Express costs 15 and standard 6 dollars.", passages)[1:] == (
        [],
        ["Express costs 15 and standard 6 dollars."],
    )


def test_a_list_is_no_number() -> None:
    text = "1. Refunds are paid within five working days.\n2. The shop is open from nine to six."
    assert found(text, [REFUND, HOURS])[1:] == ([1, 2], [])


# Numbers.


@pytest.mark.parametrize(
    ("sentence", "passage"),
    [
        ("Refunds take 5 working days.", "Refunds take five working days."),
        ("Refunds take five working days.", "Refunds take 5 working days."),
        ("It costs 2000 won.", "It costs 2,000 won."),
        ("It costs 4.90.", "It costs $4.9."),
        ("요금은 35,000원입니다.", "요금은 3만 5천원입니다."),
        ("요금은 1억 2천만원입니다.", "요금은 120,000,000원입니다."),
        ("2시간까지 무료입니다.", "두 시간까지 무료입니다."),
        ("1시간까지 무료입니다.", "한 시간까지 무료입니다."),
        ("It ends on 3 May 2026.", "It ends on 2026-05-03."),
        ("It ends on 2026-05-03.", "It ends on May 3, 2026."),
        ("5월 3일에 끝납니다.", "It ends on the 3rd May."),
        ("9월 3일에 끝납니다.", "It ends on Sept. 3."),
        ("It opens at 9:00.", "It opens at 9."),
        ("It takes twenty-four hours.", "It takes 24 hours."),
        ("This is one of the rules.", "These are the rules."),
        ("You may call us.", "Call us."),
        ("３일 걸립니다.", "3일 걸립니다."),
    ],
)
def test_the_same_number_may_be_written_in_another_way(sentence: str, passage: str) -> None:
    assert missing_numbers(sentence, passage) == set()


@pytest.mark.parametrize(
    ("sentence", "passage", "missing"),
    [
        ("Refunds take 6 working days.", "Refunds take five working days.", {6}),
        ("Refunds take six working days.", "Refunds take 5 working days.", {6}),
        ("It costs 20,000 won.", "It costs 2,000 won.", {20_000}),
        ("It costs 200.", "It costs 2,000.", {200}),
        ("요금은 3만원입니다.", "요금은 3천원입니다.", {30_000}),
        ("세 번 시도하세요.", "두 번 시도하세요.", {3}),
        ("It ends on 3 June.", "It ends on 3 May.", {6}),
        ("Vac S7 fits.", "Vac S8 fits.", {7}),
        # No month of another language: set (Italian), pro (Czech), out (Portuguese).
        ("Set 5 alarms on the Pro 3, out 1 at a time.", "Alarms 5, 3, 1", set()),
    ],
)
def test_another_number_is_missing(sentence: str, passage: str, missing: set[int]) -> None:
    assert missing_numbers(sentence, passage) == missing


def test_a_sentence_with_a_wrong_number_is_not_supported() -> None:
    assert support("Refunds are paid within ten working days.", REFUND) == 0.0
    text, cited, unsupported = found("Refunds are paid within ten working days [1].", [REFUND])
    assert (text, cited) == ("Refunds are paid within ten working days.", [])
    assert unsupported == ["Refunds are paid within ten working days."]


def test_a_number_goes_to_the_passage_that_holds_it() -> None:
    passages = ["Shipping cost 9 euros until 2022.", "Shipping costs 6 euros since 2022."]
    assert found("Shipping costs 6 euros [1].", passages)[1:] == ([2], [])


def test_a_number_that_was_computed_is_not_supported() -> None:
    passage = "주차장은 두 시간까지 무료이며 이후 30분마다 1,000원입니다."
    assert found("두 시간까지 무료이고 이후 30분마다 1,000원입니다.", [passage])[1] == [1]
    assert found("세 시간 주차는 2,000원입니다.", [passage])[1] == []


# Quotations.


@pytest.mark.parametrize(
    "text",
    [
        'It says "refunds are paid".',
        "It says “Refunds  are paid within five working days.”",
        "규정에는 「within five working days」라고 되어 있습니다.",
        "It says 'within five working days'.",
        'It says "Refunds are paid … to the card".',
        'It says "refunds [...] to the card that was charged," no more.',
        "The customer's card isn't the shops' card.",
        "They call it a 'store credit'.",
        'A 5" screen and a 6" screen.',
        'Nothing in "".',
    ],
)
def test_quotations_that_stand_in_a_passage(text: str) -> None:
    assert misquotations(text, [PARCEL, REFUND]) == []


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ('It says "refunds are never paid".', "refunds are never paid"),
        ("It says “Refunds by cheque”.", "Refunds by cheque"),
        ("규정에는 「열흘 이내」라고 되어 있습니다.", "열흘 이내"),
        ("It says 'we don't pay back'.", "we don't pay back"),
        ("It says ‘paid within ten days’ [1].", "paid within ten days"),
        ('It says "paid … by a freight company".', "paid … by a freight company"),
    ],
)
def test_quotations_that_no_passage_holds(text: str, quote: str) -> None:
    assert check_citations(text, [REFUND, PARCEL]).misquoted == [quote]


def test_quotation_marks_and_dashes_inside_a_quotation_may_differ() -> None:
    passage = "Tap ‘Reset’ – the lock’s light turns red."
    assert misquotations("It says \"Tap 'reset' - the lock's light turns red\".", [passage]) == []


def test_the_sentence_of_the_passage_that_says_it() -> None:
    passage = f"{PARCEL} {REFUND}\n{HOURS}"
    start, end = best_sentence("Refunds take five days.", passage)
    assert passage[start:end] == REFUND
