"""Numbers of list items as they are written: 3, c, iii."""

_ROMAN = (
    *((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l")),
    *((40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i")),
)
_MOST_ROMAN = 3_999
_MOST_LETTERS = 26**3
_KOREAN = "가나다라마바사아자차카타파하"
_CIRCLED = 0x2460 - 1


def list_mark(number: int, style: str) -> str:
    """Write an item's number.

    Arguments:
        style: as HTML names it: 1, a, A, i or I; or the first of 가나다 or of ①②③. With any other,
            and where the style has no such number, it is decimal.

    >>> [list_mark(4, style) for style in "1aAiI가①"]
    ['4', 'd', 'D', 'iv', 'IV', '라', '④']
    >>> list_mark(28, "a"), list_mark(-1, "i")
    ('ab', '-1')
    """
    if style in ("a", "A") and 1 <= number <= _MOST_LETTERS:
        return _cased(_letters(number), style)
    if style in ("i", "I") and 1 <= number <= _MOST_ROMAN:
        return _cased(_roman(number), style)
    if style == "가" and 1 <= number <= len(_KOREAN):
        return _KOREAN[number - 1]
    if style == "①" and 1 <= number <= 20:
        return chr(_CIRCLED + number)
    return str(number)


def _cased(mark: str, style: str) -> str:
    return mark.upper() if style.isupper() else mark


def _letters(number: int) -> str:
    mark = ""
    while number:
        number, letter = divmod(number - 1, 26)
        mark = chr(ord("a") + letter) + mark
    return mark


def _roman(number: int) -> str:
    mark = ""
    for value, letters in _ROMAN:
        count, number = divmod(number, value)
        mark += letters * count
    return mark
