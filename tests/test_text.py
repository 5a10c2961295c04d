"""The ground floor: scripts and words."""

import pytest

from rag_app.answer.citations import support
from rag_app.retrieve.keyword.analysis import Analysis
from rag_app.text.scripts import has_hangul, is_cjk, scripts
from rag_app.text.words import bare_words, syllable_pairs, terms, words


@pytest.mark.parametrize(
    ("text", "hangul", "cjk"),
    [
        ("", False, False),
        ("Bluetooth", False, False),
        ("블루투스 Bluetooth", True, False),  # 4 of 13 letters
        ("블루투스를 연결 Bluetooth", True, True),  # 7 of 16
        ("重置密码", False, True),
        ("パスワードのリセット", False, True),
        ("Сброс пароля", False, False),
        ("2024 - 3!", False, False),
    ],
)
def test_scripts_of_a_text(text: str, hangul: bool, cjk: bool) -> None:
    assert (has_hangul(text), is_cjk(text)) == (hangul, cjk)


def test_letters_are_counted_by_script() -> None:
    assert scripts("앱 App 2 код") == {"HANGUL": 1, "LATIN": 3, "CYRILLIC": 3}


def test_words_bare_words_and_terms() -> None:
    text = "Isn't the two-year limit 2.5 만원이에요?"
    assert words(text) == ["Isn't", "the", "two-year", "limit", "2.5", "만원이에요"]
    # Cut at every mark, since texts that differ in marks alone are copies.
    assert " ".join(bare_words(text)) == "isn t the two year limit 2 5 만원이에요"
    assert terms("Two-year 만원이에요") == ["two-year", "만원", "원이", "이에", "에요"]
    pairs = [syllable_pairs(word) for word in ("책", "책상", "책상이")]
    assert pairs == [["책"], ["책상"], ["책상", "상이"]]


def test_an_answers_words_are_cut_finer_than_terms() -> None:
    # By terms two of four would be common.
    sentence, passage = "The lock's two-year warranty", "the warranty of the lock: two years"
    assert set(terms(sentence)) & set(terms(passage)) == {"the", "warranty"}
    # the, lock, two, warranty of the, lock, s, two, year, warranty.
    assert support(sentence, passage) == 4 / 6


def test_keyword_search_cuts_words_where_the_script_changes() -> None:
    # A product's name with a particle is found by its name; terms leave the two together.
    assert Analysis("und", "pairs").terms("LED가") == ["led", "가"]
    assert terms("LED가") == ["le", "ed", "d가"]
