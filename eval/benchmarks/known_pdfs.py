"""PDFs whose text is known: the sample articles and an annual report, laid out in many ways."""

import csv
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from corpora import ROOT, SHARED
from pdf_writing import (
    HEIGHT,
    LIGATURES,
    SIZE,
    WIDTH,
    Font,
    Known,
    Page,
    Placed,
    korean,
    korean_subset,
    western,
)

MARGIN, GUTTER, LEADING, CELL_GAP = 50.0, 24.0, 12.5, 14.0
ROWS = int((HEIGHT - 2 * MARGIN) / LEADING)
MOST_WORDS, MOST_ROWS = 4_000, 240
# Ends of lines within a word: a hyphen that is not the word's, and one that is.
SOFT, HARD = "\u00ad", "\u2010"
_SYLLABLE = re.compile(r"(?<=[a-z]{2}[aeiouy])(?=[bcdfghjklmnpqrstvwxz][a-z]{2})")
_FRONT = re.compile(r"^---\n.*?\n---\n", re.S)
_MARKS = re.compile(r"\*\*|`|\\|^#+ |^ *[-*] |^ *\d+\. ", re.M)
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_NUMBERS = re.compile(r"(?P<label>[A-Z][A-Za-z ,&-]{3,45}?)(?P<values>( \(?[\d,]+\)?){3})")

Row = list[str]


class Line(NamedTuple):
    """A line of prose; the last of a paragraph is not justified."""

    text: str
    is_last: bool


@dataclass(frozen=True)
class Texts:
    """Paragraphs, tables, and questions with their answers."""

    paragraphs: list[str]
    tables: list[list[Row]]
    answered: list[Row]


# Where the words come from


def sample_texts(language: str) -> Texts:
    """Of the sample articles, without Markdown's marks and what the fonts here have no code for."""
    codec = "cp1252" if language == "en" else "cp949"
    paragraphs: list[str] = []
    tables: list[list[Row]] = []
    folder = ROOT / "data" / language
    for path in sorted(folder.glob("*/*.md")):
        for block in _FRONT.sub("", path.read_text("utf-8")).split("\n\n"):
            if not _writable(block, codec):
                continue
            if block.startswith("|"):
                table = [_cells(line) for line in block.strip().split("\n")]
                tables.append([row for row in table if not set("".join(row)) <= set("-: ")])
            else:
                lines = (" ".join(line.split()) for line in _plain(block).split("\n"))
                paragraphs += filter(None, lines)
    with (folder / "faq.csv").open(encoding="utf-8", newline="") as file:
        rows = ([row["question"], row["answer"]] for row in csv.DictReader(file))
        answered = [row for row in rows if _writable(" ".join(row), codec)]
    return Texts(paragraphs, tables, answered)


def _writable(text: str, codec: str) -> bool:
    return text == text.encode(codec, "ignore").decode(codec)


def _cells(line: str) -> Row:
    return [" ".join(_plain(cell).split()) for cell in line.strip().strip("|").split("|")]


def _plain(text: str) -> str:
    return _MARKS.sub("", _LINK.sub(r"\1", text))


def report_texts() -> Texts | None:
    """Prose and rows of numbers of an annual report; None where it is not there.

    Only the words come from the file, by PDFium; how they are laid out is ours.
    """
    from pypdfium2 import PdfDocument

    path = SHARED / "filings_10k" / "uber_2021.pdf"
    if not path.is_file():
        return None
    document = PdfDocument(path)
    pages = (document[number].get_textpage().get_text_range() for number in range(40, 150))
    lines = [" ".join(line.split()) for page in pages for line in page.split("\n")]
    prose = " ".join(line for line in lines if len(line) > 90 and line.isascii())
    sentences = re.split(r"(?<=\.) (?=[A-Z])", prose)
    paragraphs = [" ".join(sentences[at : at + 4]) for at in range(0, len(sentences), 4)]
    found = map(_NUMBERS.fullmatch, (line.replace("$ ", "") for line in lines))
    rows = [[match["label"], *match["values"].split()] for match in found if match]
    return Texts(paragraphs, [rows], [])


# Layouts


def wrapped(text: str, font: Font, width: float, *, parts: bool = False) -> list[str]:
    """Break a paragraph into lines; where it may part words such a line ends in SOFT or HARD."""
    lines, line = [], ""
    words = text.split(" ")[::-1]
    while words:
        word = words.pop()
        longer = f"{line} {word}".strip()
        if font.width(longer) <= width:
            line = longer
            continue
        heads = _heads(word) if parts else []
        head, tail = next(
            (cut for cut in heads if font.width(f"{line} {_shown(cut[0])}") <= width), ("", word)
        )
        lines.append(f"{line} {head}".strip(" "))
        line = ""
        words.append(tail)
    return [*lines, line]


def _heads(word: str) -> list[tuple[str, str]]:
    """Where a word may be parted, the longest head first, each with its mark, and the rest."""
    places = [(match.start(), SOFT) for match in _SYLLABLE.finditer(word)]
    places += [(match.end(), HARD) for match in re.finditer(r"(?<=[a-z])-(?=[a-z])", word)]
    return [
        (word[:place].removesuffix("-") + mark, word[place:])
        for place, mark in sorted(places, reverse=True)
    ]


def wrapped_by_letters(text: str, font: Font, width: float) -> list[str]:
    """Break a Korean paragraph anywhere, as Hangul's programs do; a blank ends whole words."""
    lines, line = [], ""
    for letter in text:
        if font.width((line + letter).rstrip()) > width:
            lines.append(line)
            line = ""
        line += letter
    return [*lines, line]


def prose(
    font: Font,
    paragraphs: Iterable[str],
    *,
    columns: int = 1,
    across: bool = False,
    justified: bool = False,
    parts: bool = False,
) -> list[Page]:
    """Pages of paragraphs in columns; `across` writes both columns' lines in turns."""
    width = (WIDTH - 2 * MARGIN - (columns - 1) * GUTTER) / columns
    lines: list[Line] = []
    for paragraph in paragraphs:
        broken = wrapped(paragraph, font, width, parts=parts)
        lines += [Line(text, number == len(broken)) for number, text in enumerate(broken, 1)]
        lines += [] if justified else [Line("", is_last=True)]
    pages = []
    while lines:
        size = ROWS * columns
        while size < len(lines) and lines[size - 1].text.endswith((SOFT, HARD)):
            size -= 1
        pages.append(_columns(lines[:size], width, across=across, justified=justified))
        lines = lines[size:]
    return pages


def _columns(lines: Sequence[Line], width: float, *, across: bool, justified: bool) -> Page:
    placed = []
    for number, line in enumerate(lines):
        column, row = divmod(number, ROWS)
        x = MARGIN + column * (width + GUTTER)
        until = x + width if justified and not line.is_last else None
        placed.append(Placed(x, _y(row), _shown(line.text), until))
    if across:
        placed.sort(key=lambda one: (-one.y, one.x))
    return Page([one for one in placed if one.text], [line.text for line in lines if line.text])


def _shown(text: str) -> str:
    return text.replace(SOFT, "-").replace(HARD, "-")


def _y(row: int) -> float:
    return HEIGHT - MARGIN - SIZE - row * LEADING


def by_letters(font: Font, paragraphs: Iterable[str]) -> list[Page]:
    """Pages of Korean paragraphs whose lines end anywhere."""
    lines: list[tuple[str, bool]] = []
    width = WIDTH - 2 * MARGIN
    for paragraph in paragraphs:
        broken = wrapped_by_letters(paragraph, font, width)
        lines += [(text, number == len(broken)) for number, text in enumerate(broken, 1)]
    pages = []
    for at in range(0, len(lines), ROWS):
        part = lines[at : at + ROWS]
        placed = [Placed(MARGIN, _y(row), text) for row, (text, _) in enumerate(part)]
        text = "".join(
            text.rstrip() + ("\n" if is_last or text.endswith(" ") else SOFT + "\n")
            for text, is_last in part
        )
        pages.append(Page(placed, text.rstrip("\n" + SOFT).split("\n")))
    return pages


def ended(pages: Iterable[Page], blank: str) -> list[Page]:
    """The pages with this behind each line, instead of what stands there."""
    return [
        replace(page, placed=[one._replace(text=one.text.rstrip() + blank) for one in page.placed])
        for page in pages
    ]


def table(font: Font, tables: Iterable[Sequence[Row]], *, numbers: bool = False) -> list[Page]:
    """Pages of tables whose cells are one line; `numbers` stand at the right of their columns."""
    pages: list[Page] = []
    for rows in tables:
        widths = [max(map(font.width, cells)) + CELL_GAP for cells in zip(*rows, strict=True)]
        if sum(widths) - CELL_GAP > WIDTH - 2 * MARGIN:
            continue
        starts = list(itertools.accumulate(widths[:-1], initial=MARGIN))
        for at in range(0, len(rows), ROWS):
            placed = []
            part = rows[at : at + ROWS]
            for row, cells in enumerate(part):
                for column, cell in enumerate(cells):
                    indent = widths[column] - CELL_GAP - font.width(cell)
                    x = starts[column] + (indent if numbers and column else 0)
                    placed.append(Placed(x, _y(row), cell))
            filled = [one for one in placed if one.text]
            pages.append(Page(filled, ["\t".join(filter(None, cells)) for cells in part]))
    return pages


def wide_cells(font: Font, rows: Iterable[Row], shares: Sequence[float]) -> list[Page]:
    """Pages of a table whose cells have several lines, written cell by cell."""
    widths = [share * (WIDTH - 2 * MARGIN) for share in shares]
    starts = list(itertools.accumulate(widths[:-1], initial=MARGIN))
    pages, page, row = [], Page([], []), 0
    for cells in rows:
        broken = [
            wrapped(cell, font, wide - CELL_GAP) if cell else []
            for cell, wide in zip(cells, widths, strict=True)
        ]
        height = max(map(len, broken))
        if row + height > ROWS:
            pages.append(page)
            page, row = Page([], []), 0
        for x, lines in zip(starts, broken, strict=True):
            for below, text in enumerate(lines, row):
                # What goes on at the height of the text before it is on its line.
                follows = page.placed and page.placed[-1].y == _y(below)
                page.lines.append(f"{page.lines.pop()}\t{text}" if follows else text)
                page.placed.append(Placed(x, _y(below), text))
        row += height
    return [*pages, page]


def terms(font: Font, rows: Iterable[Row]) -> list[Page]:
    """Pages of short terms and, beside each, its long meaning, written line by line."""
    left, right = 0.3 * (WIDTH - 2 * MARGIN), 0.7 * (WIDTH - 2 * MARGIN)
    lines: list[tuple[str, str]] = []
    for term, meaning in rows:
        name = wrapped(term, font, left - CELL_GAP)[0]
        lines += itertools.zip_longest([name], wrapped(meaning, font, right), fillvalue="")
    pages = []
    for at in range(0, len(lines), ROWS):
        part = lines[at : at + ROWS]
        both = [
            (Placed(MARGIN, _y(row), term), Placed(MARGIN + left, _y(row), meaning))
            for row, (term, meaning) in enumerate(part)
        ]
        placed = [one for pair in both for one in pair if one.text]
        pages.append(
            Page(placed, ["\t".join(filter(None, (term, meaning))) for term, meaning in part])
        )
    return pages


# The documents


def known_pdfs() -> Iterator[Known]:
    """All documents, each of a kind."""
    yield from _english(sample_texts("en"), western())
    report = report_texts()
    if report:
        yield from _report(report, western())
    yield from _korean(sample_texts("ko"))


def _english(texts: Texts, font: Font) -> Iterator[Known]:
    some = _first(texts.paragraphs)
    plain = Known("one column", font, prose(font, some))
    yield plain
    yield replace(plain, name="one column, words placed", show="words")
    pages = prose(font, some, justified=True)
    yield Known("one column, justified and kerned", font, pages, "kerned")
    yield Known("one column, parted words", font, prose(font, some, parts=True))
    own = western(ligatures=True)
    yield Known("ligatures", own, prose(own, [_ligatured(one) for one in some]))
    for quarters in (1, 2, 3):
        yield replace(plain, name=f"page turned by {90 * quarters}", turned=quarters)
    columns = Known("two columns", font, prose(font, some, columns=2))
    yield columns
    yield replace(columns, name="two columns, page turned by 90", turned=1)
    pages = prose(font, some, columns=2, justified=True, parts=True)
    yield Known("two columns, justified, parted words", font, pages, "kerned")
    pages = prose(font, some, columns=2, across=True)
    yield Known("two columns, line by line", font, pages)
    pages = prose(font, some, columns=2, across=True, justified=True, parts=True)
    yield Known("two columns, justified, line by line", font, pages, "words")
    pages = prose(font, some, columns=3, across=True)
    yield Known("three columns, line by line", font, pages)
    cells = Known("table", font, table(font, texts.tables))
    yield cells
    yield replace(cells, name="table, words placed", show="words")
    yield replace(cells, name="table, page turned by 90", turned=1)
    yield replace(cells, name="table, page turned by 270", turned=3)
    three = [row for rows in texts.tables for row in rows if len(row) == 3]
    yield Known("table, cells of several lines", font, wide_cells(font, three, (0.2, 0.3, 0.5)))
    pages = wide_cells(font, texts.answered[:MOST_ROWS], (0.45, 0.55))
    yield Known("questions beside answers", font, pages)
    meanings = [[row[0], text] for row, text in zip(three, some, strict=False)]
    yield Known("terms beside meanings, line by line", font, terms(font, meanings))


def _report(texts: Texts, font: Font) -> Iterator[Known]:
    some = _first(texts.paragraphs)
    yield Known("report, words placed", font, prose(font, some), "words")
    pages = prose(font, some, columns=2, across=True)
    yield Known("report, two columns, line by line", font, pages)
    rows = [texts.tables[0][:MOST_ROWS]]
    numbers = Known("report, numbers", font, table(font, rows, numbers=True), "words")
    yield numbers
    yield replace(numbers, name="report, numbers, page turned by 90", turned=1)


def _korean(texts: Texts) -> Iterator[Known]:
    some = _first(texts.paragraphs)
    unicode, legacy = korean("UniKS-UTF16-H", "utf-16-be"), korean("KSCms-UHC-H", "cp949")
    rows = [cell for cells in texts.tables for row in cells for cell in row]
    subset = korean_subset([*some, *rows, " "])
    plain = prose(unicode, some)
    yield Known("Korean, UniKS-UTF16-H", unicode, plain)
    yield Known("Korean, KSCms-UHC-H", legacy, plain)
    yield Known("Korean, numbered letters, words placed", subset, plain, "words")
    yield Known("Korean, page turned by 90", subset, plain, turned=1)
    torn = by_letters(subset, some)
    yield Known("Korean, lines end within words, blanks written", subset, torn)
    yield Known("Korean, lines end within words", subset, ended(torn, ""))
    whole = ended(prose(subset, some), " ")
    yield Known("Korean, lines end with words, blanks written", subset, whole)
    yield Known("Korean, two columns", subset, prose(subset, some, columns=2, justified=True))
    pages = prose(subset, some, columns=2, across=True, justified=True)
    yield Known("Korean, two columns, line by line", subset, pages)
    cells = Known("Korean, table", subset, table(subset, texts.tables))
    yield cells
    yield replace(cells, name="Korean, table, page turned by 90", turned=1)


def _first(paragraphs: Iterable[str]) -> list[str]:
    """The first paragraphs, of MOST_WORDS words together."""
    total, kept = 0, []
    for paragraph in paragraphs:
        total += paragraph.count(" ") + 1
        kept.append(paragraph)
        if total > MOST_WORDS:
            break
    return kept


def _ligatured(text: str) -> str:
    for letters, sign in LIGATURES.items():
        text = text.replace(letters, sign)
    return text
