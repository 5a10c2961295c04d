"""Bytes -> text, and the one form that every document's text is kept in."""

import codecs
import re
import unicodedata
from collections import Counter

from rag_app.errors import DocumentError
from rag_app.text.scripts import HANGUL, has_hangul

# UTF-32's little-endian mark begins with UTF-16's, so it is asked first.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_ICONV = "convert it: iconv -f ENCODING -t UTF-8 OLD > NEW"

_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_BLANKS = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\u3164\uffa0]")
# Controls, invisible format characters (soft hyphen, zero-width, direction, tags: a place to hide
# instructions to a language model) and non-characters. Arabic's visible number signs stay.
_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u180e\u200b\u200e\u200f"
    "\u202a-\u202e\u2060-\u206f\ufdd0-\ufdef\ufeff\ufff9-\ufffb\ufffe\uffff"
    "\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)
# The joiners make Persian, Indic words and emoji what they are, and nothing in ASCII or Hangul.
_PLAIN = rf"\x00-\x7f{HANGUL}"
_IDLE_JOINERS = re.compile(f"(?<![^{_PLAIN}])[\u200c\u200d]+|[\u200c\u200d]+(?![^{_PLAIN}])")
_SURROGATES = re.compile("[\ud800-\udfff]")
_KOREAN_SHARE = 0.75  # of text in GB 2312, about 0.6
_ODD_CONTROLS = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]")


def normalise(text: str) -> str:
    """Give a text its one form: NFC, newlines, plain blanks, nothing invisible, no blank ends.

    A second time changes nothing. What a reader sees stays, blank runs and indents too.
    """
    text = visible(_BLANKS.sub(" ", unicodedata.normalize("NFC", text)))
    # Letters that something unseen kept apart have met by now.
    return unicodedata.normalize("NFC", text).strip()


def visible(text: str) -> str:
    """Take out what no reader sees: controls (a terminal obeys them), zero-width characters.

    Line ends become newlines; tabs and blanks stay.
    """
    text = _UNSEEN.sub("", _LINE_ENDS.sub("\n", text))
    return _SURROGATES.sub("\ufffd", _IDLE_JOINERS.sub("", text))


def decode(data: bytes) -> str:
    """Read bytes as text: by its mark, else UTF-8, else CP949 where that yields Korean.

    Raises:
        DocumentError: none of these fits, or the bytes are no text at all.
    """
    marked = _by_mark(data)
    text = marked if marked is not None else _by_content(data)
    if "\x00" in text:
        raise DocumentError(f"holds NUL bytes, so it is binary or unmarked UTF-16; {_ICONV}")
    return text


def _by_mark(data: bytes) -> str | None:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            try:
                return data[len(mark) :].decode(encoding)
            except UnicodeDecodeError:
                raise DocumentError(
                    f"is marked {encoding} but holds something else; {_ICONV}"
                ) from None
    return None


def _by_content(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        text = decode_korean(data)
        if text is None:
            raise DocumentError(
                f"is neither UTF-8 (byte {error.start} does not fit) nor CP949; {_ICONV}"
            ) from None
        return text


def decode_korean(data: bytes) -> str | None:
    """Read bytes as CP949, the superset of EUC-KR; None where the outcome is not Korean.

    CP949 gives some reading to much Western and Chinese text; only in Korean are nearly all
    letters beyond ASCII syllables of the everyday set, which is EUC-KR's.
    """
    try:
        text = data.decode("cp949")
    except UnicodeDecodeError:
        return None
    foreign = Counter(letter for letter in text if letter > "\x7f" and letter.isalpha())
    everyday = sum(count for letter, count in foreign.items() if _is_everyday_hangul(letter))
    if _ODD_CONTROLS.search(text) or everyday < _KOREAN_SHARE * max(1, foreign.total()):
        return None
    return text


def _is_everyday_hangul(letter: str) -> bool:
    # Python spells a rare syllable in EUC-KR as four jamo, eight bytes.
    return has_hangul(letter) and len(letter.encode("euc_kr")) == 2
