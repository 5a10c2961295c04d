"""Bytes -> text in one form; languages and dates."""

import datetime as dt
import itertools
import random
import re
import subprocess
import sys
import unicodedata

import pytest
from babel import Locale
from babel.dates import format_date

from rag_app.errors import DocumentError
from rag_app.text.dates import parse_date
from rag_app.text.language import UNKNOWN, guess_language
from rag_app.text.months import month_number, plain
from rag_app.text.normalise import decode, normalise


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp949", "euc-kr"],
)
def test_korean_in_any_encoding(encoding: str) -> None:
    assert decode("환불은 7일 안에 됩니다.\n".encode(encoding)) == "환불은 7일 안에 됩니다.\n"


@pytest.mark.parametrize("mark", ["utf-16-be", "utf-32-be"])
def test_big_endian_marks(mark: str) -> None:
    assert decode("\ufeff환불".encode(mark)) == "환불"


def test_cp949_beyond_euc_kr() -> None:
    assert (
        decode("똠방각하와 펲시콜라를 마신 사람".encode("cp949"))
        == "똠방각하와 펲시콜라를 마신 사람"
    )


@pytest.mark.parametrize(
    "data",
    [
        "Änderung der Größe".encode("latin-1"),
        "déjà vu".encode("latin-1"),
        "中文文本的编码是国标".encode("gb2312"),
        "日本語の文章です".encode("euc-jp"),
        b"\x89PNG\r\n\x1a\n\xff\xfe",
        "환불\x01".encode("cp949"),
    ],
)
def test_what_is_not_korean_is_not_taken_for_it(data: bytes) -> None:
    with pytest.raises(DocumentError, match=r"neither UTF-8 .* nor CP949; .* iconv -f"):
        decode(data)


def test_binary_and_broken_marks_are_refused() -> None:
    with pytest.raises(DocumentError, match=r"NUL bytes.*iconv"):
        decode("plain".encode("utf-16-le"))
    with pytest.raises(DocumentError, match="is marked utf-16-le but holds something else"):
        decode(b"\xff\xfea")


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("\u1112\u116a\u11ab\u1107\u116e\u11af", "환불"),
        ("a\r\nb\rc\u2028d\x0ce\x85f", "a\nb\nc\nd\ne\nf"),
        ("a\u00a0b\u3000c\u2009d\te", "a b c d\te"),
        ("co\u00adope\u200brate\ufeff \u202eevil\u202c\x07\x1b[31m", "cooperate evil[31m"),
        ("tag\U000e0041\U000e0042s", "tags"),
        ("\n\n  text \n", "text"),
        ("bad \ud800 half", "bad \ufffd half"),
        ("pay\u200dment 환\u200c불", "payment 환불"),
        ("👩\u200d💻 می\u200cخواهم", "👩\u200d💻 می\u200cخواهم"),
        ("  indent\n    stays", "indent\n    stays"),
        ("\u200b\n", ""),
    ],
)
def test_normalise(text: str, normal: str) -> None:
    assert normalise(text) == normal


def test_normalising_again_changes_nothing() -> None:
    letters = (
        "ae \n\t\r\u00ad\u0301\u0308\u200b\u200c\u200d\ufeff\u00a0\u2028\u1112\u116a\u11ab가é"
        "\u037e\u212b\ud800💻\ufe0f\u202e\x00\x85\u0344\u2126"
    )
    draw = random.Random(13)  # noqa: S311 - not a secret
    for _ in range(5_000):
        text = "".join(draw.choices(letters, k=draw.randint(0, 12)))
        once = normalise(text)
        assert normalise(once) == once
        assert unicodedata.is_normalized("NFC", once)
        once.encode("utf-8")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("환불은 언제 되나요? Orumi Lock 기준입니다.", "ko"),
        ("When do I get the refund that I asked for?", "en"),
        ("返金はいつですか", "ja"),
        ("退款什么时候到账", "zh"),
        ("Where is my order", "en"),
        ("Wann bekomme ich mein Geld zurück?", "de"),
        ("Comment annuler mon abonnement ?", "fr"),
        ("¿Cuándo recibiré mi reembolso?", "es"),
        ("Kiedy otrzymam zwrot pieniędzy za zamówienie?", "pl"),
        ("Когда вернут деньги?", "ru"),
        ("Πότε θα επιστραφούν τα χρήματα;", "el"),
        ("متى أستعيد نقودي التي دفعتها؟", "ar"),
    ],
)
def test_guess_language(text: str, language: str) -> None:
    assert guess_language(text) == language


@pytest.mark.parametrize(
    "text",
    [
        *("", "12,345.00", "Orumi Lock 3", "Basic Pro", "SKU-2231 XL", "OK", "FAQ", "README"),
        *("git commit", "pip install numpy", "AWS S3 bucket", "Visa Mastercard PayPal"),
        "lorem ipsum dolor sit amet",
        "\n".join(f"{n},0.{n * 37 % 1000:03},SKU-{n}-A" for n in range(300)),
        "`Where is my order` https://example.com/where-is-my-order",
    ],
)
def test_names_numbers_and_commands_tell_no_language(text: str) -> None:
    assert guess_language(text) == UNKNOWN


_KOREAN_STEPS = "도커를 설치한 뒤 아래 명령을 차례로 실행한다. 포트가 겹치면 번호를 바꾼다.\n"
_COMMANDS = "docker run --detach --publish 8080:80 --name web nginx:latest && docker ps --all\n"


@pytest.mark.parametrize("fence", ["```", ""])
def test_korean_posts_full_of_commands_are_korean(fence: str) -> None:
    post = _KOREAN_STEPS + f"{fence}\n{_COMMANDS * 3}{fence}\n"
    letters = [letter for letter in post if letter.isalpha()]
    assert sum("가" <= letter <= "힣" for letter in letters) < 0.2 * len(letters)
    assert guess_language(post) == "ko"


def test_an_english_text_that_names_a_few_korean_words_is_english() -> None:
    text = (
        "The word 환불 on your bill means that the money was sent back to the card you paid with."
    )
    assert guess_language(text) == "en"


def test_only_what_its_script_does_not_tell_loads_the_model() -> None:
    code = (
        "import sys; from rag_app.text.language import guess_language;"
        "print(guess_language('환불은 언제 되나요?'), 'py3langid' in sys.modules,"
        "guess_language('When do I get my refund?'), 'py3langid' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "ko False en True\n"


@pytest.mark.parametrize(
    "written",
    [
        "2024-03-05",
        "2024-03-05T23:59:00-05:00",
        "2024/3/5",
        "2024. 3. 5.",
        "2024년 3월 5일",
        "20240305",
        20240305,
        "March 5, 2024",
        "5th Mar. 2024",
        "Tue, 05 Mar 2024 12:00:00 GMT",
        "D:20240305120000+09'00'",
        "D:20240305",
        "2024. 3. 5. (화) 오후 3시",
        "2024年3月5日",
        "5.3.2024",
        "05.03.2024 12:30",
        "5. 3. 2024",
        "5. März 2024",
        "5. Maerz 2024",
        "Dienstag, 5. März 2024",
        "5 de marzo de 2024",
        "5 de març del 2024",
        "5 marca 2024",
        "5 МАРТА 2024 г.",
        "2024. március 5.",
        "2024 m. kovo 5 d.",
        "05-Mar-2024",
        1709596800,
        1709683199.5,
        "1709596800.25",
        1709596800_000,
        # As a clock writes it; read as milliseconds it would be of 1976.
        "202403051200",
        dt.date(2024, 3, 5),
        dt.datetime(2024, 3, 5, 23, 59, tzinfo=dt.UTC),
    ],
)
def test_parse_date(written: object) -> None:
    assert parse_date(written) == dt.date(2024, 3, 5)


@pytest.mark.parametrize(
    "written",
    [
        *("03/04/2024", "2024-02-30", "2024-13-01", "0001-01-01", "soon", "", "May 2024", 7, True),
        *(None, "31.2.2024", "5.3.24", "192.168.2024.1", "yesterday", "Decade 5, 2024"),
        # October in Croatian, November in Polish.
        "5 listopada 2024",
    ],
)
def test_what_is_no_date_or_could_be_two(written: object) -> None:
    assert parse_date(written) is None


def cldr_months() -> dict[str, set[int]]:
    """Names of months, plain, with the months that they name in some language of `LANGUAGES`."""
    found: dict[str, set[int]] = {}
    for language, context, width in itertools.product(
        LANGUAGES, ("format", "stand-alone"), ("wide", "abbreviated")
    ):
        for number, name in Locale.parse(language).months[context][width].items():
            word = plain(name).removeprefix("d’")
            if len(word) > 2 and not re.search(r"[\d\s]", word):
                found.setdefault(word, set()).add(number)
    return found


LANGUAGES = (
    *("ar", "ca", "cs", "da", "de", "de_AT", "el", "en", "en_GB", "es", "et", "eu", "fi", "fr"),
    *("ga", "hi", "hr", "hu", "hy", "id", "it", "lt", "nb", "ne", "nl", "nn", "pl", "pt", "ro"),
    *("ru", "sk", "sl", "sr", "sr_Latn", "sv", "ta", "tr", "uk"),
)


def test_month_names_are_those_of_cldr_that_name_one_month() -> None:
    months = cldr_months()
    assert months["listopad"] == {10, 11}
    for name, numbers in months.items():
        assert month_number(name) == (min(numbers) if len(numbers) == 1 else None), name


@pytest.mark.parametrize(
    "language",
    [
        *("ca", "cs", "da", "de", "de_AT", "el", "en", "en_GB", "es", "et", "fi", "fr", "hu", "id"),
        *("it", "ja", "ko", "lt", "nb", "nl", "nn", "pt", "ro", "ru", "sk", "sl", "sr", "sv", "tr"),
        *("uk", "zh"),
    ],
)
def test_every_day_as_a_language_writes_it(language: str) -> None:
    for number in range(366):
        day = dt.date(2024, 1, 1) + dt.timedelta(number)
        for form in ("full", "long"):
            assert parse_date(format_date(day, form, locale=language)) == day
