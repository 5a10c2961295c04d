"""Hangul documents as Hangul 5 and later keep them: OLE files of records, made here."""

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import pytest
from ole import ole

from rag_app.documents import ReadResult, read_documents

pytest.importorskip("olefile")

PARAGRAPH, TEXT, CONTROL, LIST = 66, 67, 71, 72
SHAPE, TABLE, RECTANGLE, OBJECT, PICTURE, EQUATION, FORM = 76, 77, 79, 84, 85, 88, 91
COMPRESSED, PASSWORD, FOR_DISTRIBUTION = 1, 2, 4


def record(tag: int, level: int, data: bytes = b"") -> bytes:
    """A record; its header is ten bits of tag, ten of level, twelve of size."""
    size = min(len(data), 0xFFF)
    longer = struct.pack("<I", len(data)) if size == 0xFFF else b""
    return struct.pack("<I", tag | level << 10 | size << 20) + longer + data


def control_letter(code: int, kind: str) -> str:
    """The eight units in a text that stand for a control."""
    return chr(code) + kind[::-1].encode().decode("utf-16-le") + "\0" * 4 + chr(code)


def paragraph(text: str, *controls: bytes, level: int = 0) -> bytes:
    data = f"{text}\r".encode("utf-16-le", "surrogatepass")
    head = struct.pack("<IIHBBHHHI", len(data) // 2, 0, 0, 0, 0, 1, 0, 0, 0)
    return record(PARAGRAPH, level, head) + record(TEXT, level + 1, data) + b"".join(controls)


def control(kind: str, data: bytes = b"", *, level: int = 1) -> bytes:
    return record(CONTROL, level, kind[::-1].encode() + data)


def listed(*paragraphs: str, level: int, more: bytes = b"") -> bytes:
    """A list of paragraphs, as cells, notes and boxes are."""
    head = record(LIST, level, struct.pack("<HHI", len(paragraphs), 0, 0) + more)
    return head + b"".join(paragraph(text, level=level) for text in paragraphs)


def cell(row: int, column: int, text: str, *, height: int = 1) -> bytes:
    place = struct.pack("<4H", column, row, 1, height) + bytes(18)
    return listed(*text.split("\n"), level=2, more=place)


def about(title: str, creator: str, created: int) -> bytes:
    """A stream of properties (MS-OLEPS).

    Arguments:
        created: seconds since 1970.
    """

    def text(value: str) -> bytes:
        data = f"{value}\0".encode("utf-16-le")
        return struct.pack("<II", 31, len(data) // 2) + data.ljust(-(-len(data) // 4) * 4, b"\0")

    filetime = (created + 11_644_473_600) * 10_000_000
    values = {2: text(title), 4: text(creator), 12: struct.pack("<IQ", 64, filetime)}
    at, table, data = 8 + 8 * len(values), b"", b""
    for number, value in values.items():
        table += struct.pack("<II", number, at + len(data))
        data += value
    section = struct.pack("<II", at + len(data), len(values)) + table + data
    return struct.pack("<HHI16xI16xI", 0xFFFE, 0, 0x20005, 1, 48) + section


def hwp(
    *sections: bytes, flags: int = COMPRESSED, streams: Mapping[str, bytes] | None = None
) -> bytes:
    def kept(data: bytes) -> bytes:
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        return packer.compress(data) + packer.flush() if flags & COMPRESSED else data

    header = b"HWP Document File".ljust(32, b"\0") + struct.pack("<II", 0x05000500, flags)
    texts = {f"BodyText/Section{number}": kept(data) for number, data in enumerate(sections)}
    fixed = {"FileHeader": header.ljust(256, b"\0"), "DocInfo": kept(b"")}
    return ole({**fixed, **texts, **(streams or {})})


def read(path: Path, data: bytes) -> ReadResult:
    path.write_bytes(data)
    result = read_documents([path])
    assert result.failures == []
    return result


def text_of(path: Path, *sections: bytes, flags: int = COMPRESSED) -> str:
    (document,) = read(path, hwp(*sections, flags=flags)).documents
    return str(document.text)


def reason(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    (failure,) = read_documents([path]).failures
    return failure.reason


def left_out(result: ReadResult) -> list[str]:
    return [str(left) for all_left in result.left_out.values() for left in all_left]


NOTE = control("fn  ", struct.pack("<I", 1)) + listed(" 영업일 기준", level=2)
PRICES = (
    control("tbl ")
    + listed("표: 요금", level=2)
    + record(TABLE, 2, struct.pack("<IHH5H3HH", 0, 3, 2, 0, 0, 0, 0, 0, 2, 2, 1, 0))
    + cell(0, 0, "요금제")
    + cell(0, 1, "값")
    + cell(1, 0, "기본\n요금", height=2)
    + cell(1, 1, "1")
    + cell(2, 1, "2")
)


def test_paragraphs_tables_and_notes(tmp_path: Path) -> None:
    data = hwp(
        paragraph("제1조 목적")
        + paragraph(f"환불은\t\0\0\0\0\0\0\t7일\n안에{control_letter(17, 'fn  ')} 됩니다.", NOTE)
        + paragraph(control_letter(11, "tbl "), PRICES),
        paragraph("끝\ud83d\ude00"),
        streams={"\x05HwpSummaryInformation": about("약관", "Kim", 1_709_607_600)},
    )
    (document,) = read(tmp_path / "a.hwp", data).documents
    assert document.text == (
        "제1조 목적\n환불은\t7일\n안에 됩니다.\n[1] 영업일 기준\n\n표: 요금\n\n"
        "요금제 | 값\n--- | ---\n기본 요금 | 1\n기본 요금 | 2\n\n끝😀"
    )
    own = {key: document.metadata[key] for key in ("title", "creator", "date", "kind")}
    assert own == {"title": "약관", "creator": "Kim", "date": "2024-03-05", "kind": "hwp"}


def test_sections_are_in_order_of_their_numbers(tmp_path: Path) -> None:
    sections = [paragraph(f"부분 {number}") for number in range(11)]
    assert text_of(tmp_path / "a.hwp", *sections).split("\n\n") == [
        f"부분 {number}" for number in range(11)
    ]


def test_a_text_that_is_not_compressed_and_longer_than_a_short_record(tmp_path: Path) -> None:
    long = "환불 규정 " * 1_000
    assert text_of(tmp_path / "a.hwp", paragraph(long), flags=0) == long.strip()


def test_boxes_headers_equations_and_numbers_of_captions(tmp_path: Path) -> None:
    shape = record(SHAPE, 2) + listed("상자 안", level=3) + record(RECTANGLE, 3)
    script = "a over b"
    equation = struct.pack("<IH", 0, len(script)) + script.encode("utf-16-le")
    number = struct.pack("<IH", 4, 7) + bytes(6)
    text = text_of(
        tmp_path / "a.hwp",
        paragraph(
            f"{control_letter(11, 'gso ')}{control_letter(16, 'head')}앞 "
            f"{control_letter(11, 'eqed')} 뒤, 표 {control_letter(18, 'atno')}",
            control("gso ") + shape,
            control("head") + listed("머리말", level=2),
            control("eqed") + record(EQUATION, 2, equation),
            control("atno", number),
        ),
    )
    assert text == "앞 a over b 뒤, 표 7\n상자 안\n머리말"


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    picture = control("gso ") + record(SHAPE, 2) + record(PICTURE, 3)
    chart = control("gso ") + record(SHAPE, 2) + record(OBJECT, 3)
    comment = control("tcmt") + listed("고칠 것", level=2)
    form = control("form") + record(FORM, 2)
    parts = (picture, picture, chart, comment, form)
    result = read(tmp_path / "a.hwp", hwp(paragraph("글", *parts)))
    assert result.documents[0].text == "글"
    assert left_out(result) == [
        *("2 pictures", "1 object of other programs", "1 field of a form", "1 comment")
    ]


RAISED, LOWERED = 1 << 15, 1 << 16


def shaped(*runs: tuple[str, int]) -> bytes:
    """A paragraph of runs, each with the number of its letters' shape."""
    text = "".join(run for run, _ in runs)
    shapes, place = b"", 0
    for run, shape in runs:
        shapes += struct.pack("<II", place, shape)
        place += len(run.encode("utf-16-le")) // 2
    return paragraph(text) + record(68, 1, shapes)


@pytest.mark.parametrize("flags", [COMPRESSED, 0])
@pytest.mark.parametrize(
    ("runs", "text"),
    [
        ([("10", 0), ("6", 1), ("명, 5 m", 0), ("2", 1)], "10^6명, 5 m^2"),
        ([("요금은 500", 0), ("1", 1), (" 원", 0)], "요금은 500 [1] 원"),
        ([("log", 0), ("10", 2), ("100, H", 0), ("2", 2), ("O", 0)], "log_10 100, H2O"),
        ([("😀 x", 0), ("2", 1)], "😀 x^2"),
        # A shape that the document does not have.
        ([("10", 0), ("6", 9)], "106"),
    ],
)
def test_raised_and_lowered_letters_keep_their_meaning(
    tmp_path: Path, runs: list[tuple[str, int]], text: str, flags: int
) -> None:
    table = control("tbl ") + record(TABLE, 2) + cell(0, 0, "10") + cell(0, 1, "6")
    shapes = b"".join(
        record(21, 1, bytes(46) + struct.pack("<I", look) + bytes(22))
        for look in (0, RAISED, LOWERED)
    )
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = packer.compress(shapes) + packer.flush()
    about_letters = {"DocInfo": packed if flags else shapes}
    data = hwp(shaped(*runs) + paragraph("", table), flags=flags, streams=about_letters)
    (document,) = read(tmp_path / "a.hwp", data).documents
    assert document.text == f"{text}\n\n10 | 6"


def test_an_empty_table_is_no_text(tmp_path: Path) -> None:
    table = control("tbl ") + record(TABLE, 2) + cell(0, 0, "") + cell(0, 1, "")
    assert reason(tmp_path / "a.hwp", hwp(paragraph("", table))) == (
        "holds no text; it may be pictures of pages"
    )


@pytest.mark.parametrize("flag", [PASSWORD, FOR_DISTRIBUTION])
def test_an_encrypted_document_is_refused(tmp_path: Path, flag: int) -> None:
    assert reason(tmp_path / "a.hwp", hwp(paragraph("글"), flags=COMPRESSED | flag)) == (
        "is encrypted (a password, a copy for distribution, or DRM); save it without that in "
        "Hangul, or as PDF"
    )


def test_files_that_are_no_documents_or_damaged(tmp_path: Path) -> None:
    assert reason(tmp_path / "a.hwp", b"HWP Document File V3.00 \x1a\1\2\3\4\5") == (
        "is not an .hwp document of Hangul 5 or later (an older one?); save it as .hwpx"
    )
    assert reason(tmp_path / "b.hwp", ole({"FileHeader": b"Word"})) == (
        "is not an .hwp document, whatever its name says"
    )
    assert reason(tmp_path / "c.hwp", ole({"WordDocument": b"text"})).startswith(
        "cannot be parsed ("
    )
    assert reason(tmp_path / "d.hwp", hwp(paragraph("글")[:-1])) == (
        "is damaged: one of its records has no end; save it again"
    )
    packed = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    whole = packed.compress(paragraph("글" * 99)) + packed.flush()
    data = hwp(streams={"BodyText/Section0": whole[:-3]})
    assert reason(tmp_path / "e.hwp", data) == (
        "is cut short: a part of its text is missing; fetch or save it again"
    )
    deep = b"".join(record(CONTROL, level, b"xxxx") for level in range(1_023))
    assert read(tmp_path / "f.hwp", hwp(paragraph("글", deep))).documents[0].text == "글"
