"""Writes PDFs of lines at places: the file, its fonts, and what is to be read of it."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

# Points, of an upright page.
WIDTH, HEIGHT = 595.0, 842.0
SIZE = 10.0
LIGATURES = {"ffi": "\ufb03", "ffl": "\ufb04", "ff": "\ufb00", "fi": "\ufb01", "fl": "\ufb02"}
# Written where a line parts a word; a hyphen is shown.
PARTED = "\u00ad\n"


@dataclass(frozen=True)
class Font:
    """A font that is not in the file: how it writes letters, and how wide they are.

    Fields:
        widths: of single letters, in thousandths of the size; others are as wide as `other`.
        encode: what of a text stands in the content stream.
        objects: its objects from number 3 on, which is the font itself.
    """

    widths: dict[str, int]
    other: int
    encode: Callable[[str], bytes]
    objects: list[bytes]

    def width(self, text: str) -> float:
        """In points, at the size of all text here."""
        return sum(self.widths.get(letter, self.other) for letter in text) * SIZE / 1000


class Placed(NamedTuple):
    """A line of text and where it begins; `until` is where a justified one ends."""

    x: float
    y: float
    text: str
    until: float | None = None


@dataclass(frozen=True)
class Page:
    """A page: what stands on it in the file's order, and its lines as they are to be read."""

    placed: list[Placed]
    lines: list[str]


@dataclass(frozen=True)
class Known:
    """A PDF and its text.

    Fields:
        show: how a line is written: "whole", "words" (each placed by itself) or "kerned" (by
            distances instead of blanks).
        turned: quarters by which its pages are turned, upright again for who looks at them.
    """

    name: str
    font: Font
    pages: list[Page]
    show: str = "whole"
    turned: int = 0

    @cached_property
    def data(self) -> bytes:
        """The file."""
        return write_pdf(self)

    def expected(self) -> list[list[str]]:
        """The lines of each page, ligatures as letters and parted words whole."""
        return [joined("\n".join(page.lines)).split("\n") for page in self.pages]


def joined(text: str) -> str:
    """A text with ligatures as letters, and the words whole that its lines part."""
    for letters, sign in LIGATURES.items():
        text = text.replace(sign, letters)
    return text.replace(PARTED, "").replace("\u2010\n", "-")


# The file


def write_pdf(known: Known) -> bytes:
    """Write pages, font and cross-references."""
    bodies = {1: b"<< /Type /Catalog /Pages 2 0 R >>"}
    bodies |= dict(enumerate(known.font.objects, 3))
    number = 3 + len(known.font.objects)
    kids = []
    for page in known.pages:
        content = _content(known, page)
        bodies[number + 1] = b"<< /Length %d >>\nstream\n%b\nendstream" % (len(content), content)
        wide = known.turned % 2 == 1
        box = (HEIGHT, WIDTH) if wide else (WIDTH, HEIGHT)
        bodies[number] = (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Rotate %d /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> >>" % (*box, 90 * known.turned, number + 1)
        )
        kids.append(b"%d 0 R" % number)
        number += 2
    bodies[2] = b"<< /Type /Pages /Kids [%b] /Count %d >>" % (b" ".join(kids), len(kids))
    return _numbered(bodies)


def _numbered(bodies: dict[int, bytes]) -> bytes:
    out, offsets = b"%PDF-1.7\n", []
    for number in sorted(bodies):
        offsets.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, bodies[number])
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return out + (
        b"xref\n0 %d\n0000000000 65535 f \n%btrailer\n<< /Size %d /Root 1 0 R >>\n"
        b"startxref\n%d\n%%%%EOF\n" % (len(bodies) + 1, table, len(bodies) + 1, len(out))
    )


def _content(known: Known, page: Page) -> bytes:
    # The page is laid out upright; on one that will be turned it stands on its side.
    turn = {
        0: "",
        1: f"0 1 -1 0 {HEIGHT} 0 cm",
        2: f"-1 0 0 -1 {WIDTH} {HEIGHT} cm",
        3: f"0 -1 1 0 0 {WIDTH} cm",
    }[known.turned]
    parts = [f"q {turn} BT /F1 {SIZE} Tf".encode()]
    for line in page.placed:
        parts += _shown(known, line)
    return b" ".join([*parts, b"ET Q"])


def _shown(known: Known, line: Placed) -> Iterator[bytes]:
    font, words = known.font, line.text.split(" ")
    blank = font.width(" ")
    if line.until is not None and len(words) > 1:
        blank += (line.until - line.x - font.width(line.text)) / (len(words) - 1)
    place = b"1 0 0 1 %.2f %.2f Tm"
    if known.show == "words":
        x = line.x
        for word in words:
            yield place % (x, line.y) + b" <%b> Tj" % font.encode(word)
            x += font.width(word) + blank
        return
    yield place % (line.x, line.y)
    if known.show == "kerned":
        gap = b" %.1f " % (-1000 * blank / SIZE)
        yield b"[" + gap.join(b"<%b>" % b"> 12 <".join(_halves(font, w)) for w in words) + b"] TJ"
        return
    yield b"%.3f Tw <%b> Tj" % (blank - font.width(" "), font.encode(line.text))


def _halves(font: Font, word: str) -> list[bytes]:
    """A word as a typesetter kerns it, its last letters moved nearer."""
    return [font.encode(part) for part in (word[:-2], word[-2:]) if part]


# Fonts


def western(*, ligatures: bool = False) -> Font:
    """Times, its letters as wide as its metrics say; with ligatures a font of its own letters."""
    import matplotlib

    metrics = Path(matplotlib.get_data_path()) / "fonts" / "pdfcorefonts" / "Times-Roman.afm"
    found = re.findall(r"^C (\d+) ; WX (\d+)", metrics.read_text("utf-8"), re.M)
    widths = {chr(int(code)): int(wide) for code, wide in found if int(code) < 127}
    listed = b" ".join(b"%d" % widths.get(chr(code), 500) for code in range(32, 256))
    extra = b""
    objects = []
    codec = {"": ""}
    if ligatures:
        codec = {sign: chr(code) for code, sign in enumerate(LIGATURES.values(), 1)}
        extra = b"/ToUnicode 4 0 R "
        objects = [_to_unicode({ord(code): sign for sign, code in codec.items()}, ascii_too=True)]
    font = (
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Times-Roman /Encoding /WinAnsiEncoding "
        b"/FirstChar 32 /LastChar 255 /Widths [%b] %b>>" % (listed, extra)
    )

    def encode(text: str) -> bytes:
        own = "".join(codec.get(letter, letter) for letter in text) if ligatures else text
        return own.encode("cp1252").hex().encode()

    return Font(widths, 500, encode, [font, *objects])


def _to_unicode(meaning: dict[int, str], *, ascii_too: bool) -> bytes:
    size = 1 if ascii_too else 2
    rows = [
        f"<{code:0{2 * size}X}> <{text.encode('utf-16-be').hex()}>"
        for code, text in meaning.items()
    ]
    groups = [rows[at : at + 100] for at in range(0, len(rows), 100)]
    body = "\n".join(
        f"{len(group)} beginbfchar\n" + "\n".join(group) + "\nendbfchar" for group in groups
    )
    if ascii_too:
        body += "\n1 beginbfrange <20> <7E> <0020> endbfrange"
    last = "FF" * size
    text = (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapType 2 def\n"
        f"1 begincodespacerange <{'00' * size}> <{last}> endcodespacerange\n{body}\nendcmap end end"
    ).encode()
    return b"<< /Length %d >>\nstream\n%b\nendstream" % (len(text), text)


_HALF_WIDE = {chr(code): 500 for code in range(33, 127)} | {" ": 333}


def korean(encoding: str, codec: str) -> Font:
    """A Korean font of which the file names only the encoding, as programs for print do."""
    objects = _cid_font(encoding.encode(), b"/Ordering (Korea1)", b"[1 [333] 2 95 500]")
    return Font(_HALF_WIDE, 1000, lambda text: text.encode(codec).hex().encode(), objects)


def korean_subset(texts: Iterable[str]) -> Font:
    """A Korean font of numbered letters with their meaning, as word processors write it."""
    letters = sorted(set("".join(texts)))
    codes = {letter: number for number, letter in enumerate(letters, 1)}
    wide = b" ".join(b"%d" % _HALF_WIDE.get(letter, 1000) for letter in letters)
    objects = _cid_font(b"Identity-H", b"/Ordering (Identity)", b"[1 [%b]]" % wide)
    objects[0] = objects[0].replace(b">>", b"/ToUnicode 6 0 R >>")
    meaning = {code: letter for letter, code in codes.items()}

    def encode(text: str) -> bytes:
        return "".join(f"{codes[letter]:04x}" for letter in text).encode()

    return Font(_HALF_WIDE, 1000, encode, [*objects, _to_unicode(meaning, ascii_too=False)])


def _cid_font(encoding: bytes, ordering: bytes, widths: bytes) -> list[bytes]:
    name = b"/HYSMyeongJo-Medium"
    return [
        b"<< /Type /Font /Subtype /Type0 /BaseFont %b /Encoding /%b /DescendantFonts [4 0 R] >>"
        % (name, encoding),
        b"<< /Type /Font /Subtype /CIDFontType0 /BaseFont %b /CIDSystemInfo << /Registry (Adobe) "
        b"%b /Supplement 1 >> /DW 1000 /W %b /FontDescriptor 5 0 R >>" % (name, ordering, widths),
        b"<< /Type /FontDescriptor /FontName %b /Flags 4 /FontBBox [0 -200 1000 900] "
        b"/ItalicAngle 0 /Ascent 800 /Descent -200 /StemV 80 >>" % name,
    ]
