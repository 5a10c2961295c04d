"""Mails, books, Hangul documents, Word documents and slides."""

import base64
import io
import struct
import sys
import zipfile
from email.message import EmailMessage
from importlib.util import find_spec
from pathlib import Path

import pytest
from ole import ole

from rag_app.documents import ReadResult, read_documents
from rag_app.documents.extras import imported
from rag_app.documents.reading import contents_of
from rag_app.documents.sources import Source
from rag_app.errors import DocumentError


def read(path: Path, data: bytes) -> ReadResult:
    path.write_bytes(data)
    result = read_documents([path])
    assert result.failures == []
    return result


def said(result: ReadResult) -> list[str]:
    return [str(left) for all_left in result.left_out.values() for left in all_left]


def reason(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    (failure,) = read_documents([path]).failures
    return failure.reason


def zipped(members: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return out.getvalue()


# Mails


def mail(**headers: str) -> EmailMessage:
    message = EmailMessage()
    for name, value in {"From": "Kim <kim@example.com>", "To": "Lee", **headers}.items():
        message[name] = value
    return message


def test_a_mail_has_its_sender_date_and_attachments(tmp_path: Path) -> None:
    message = mail(Subject="환불 문의", Date="Tue, 05 Mar 2024 12:00:00 +0900")
    message.set_content("환불은 7일 안에 됩니다.\n")
    message.add_alternative("<p>환불은 <b>7일</b> 안에 됩니다.", subtype="html")
    message.add_attachment(b"a,b", maintype="text", subtype="csv", filename="prices.csv")
    message.add_attachment(b"\x89PNG", maintype="image", subtype="png", filename="scan.png")
    result = read(tmp_path / "a.eml", bytes(message))
    (document,) = result.documents
    assert document.text == "환불은 7일 안에 됩니다."
    own = {key: document.metadata[key] for key in ("title", "date", "from", "to", "kind")}
    assert own == {
        "title": "환불 문의",
        "date": "2024-03-05",
        "from": "Kim <kim@example.com>",
        "to": "Lee",
        "kind": "mail",
    }
    assert said(result) == ["2 files attached (prices.csv, scan.png)"]


def test_a_mail_whose_plain_text_only_points_to_its_html_is_read_from_that(tmp_path: Path) -> None:
    message = mail(Subject="offer")
    message.set_content("Please view this mail in a program that shows HTML.\n")
    message.add_alternative("<p>All locks cost 50% less until May.</p>", subtype="html")
    (document,) = read(tmp_path / "a.eml", bytes(message)).documents
    assert document.text == "All locks cost 50% less until May."


def test_a_mail_whose_plain_text_is_blank_is_read_from_its_html(tmp_path: Path) -> None:
    message = mail(Subject="refund")
    message.set_content(" \n")
    message.add_alternative("<p>Your refund is on its way.</p>", subtype="html")
    assert (
        read(tmp_path / "a.eml", bytes(message)).documents[0].text == "Your refund is on its way."
    )


def test_a_mail_in_html_and_in_cp949(tmp_path: Path) -> None:
    head = b"Subject: x\r\nContent-Type: text/html; charset=ks_c_5601-1987\r\n\r\n"
    data = head + "<p>똠방각하<p>둘째".encode("cp949")
    assert read(tmp_path / "a.eml", data).documents[0].text == "똠방각하\n\n둘째"


def test_a_mail_without_text_names_what_is_attached(tmp_path: Path) -> None:
    message = mail(Subject="scan")
    message.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="scan.pdf")
    assert reason(tmp_path / "a.eml", bytes(message)) == (
        "holds no text, but scan.pdf attached; save what is attached beside it"
    )


# Outlook's mails

SENT = 0x0039


def properties(values: dict[int, str | bytes | int], *, header: bytes) -> dict[str, bytes]:
    """The streams of a message, a recipient or an attachment; the keys are MAPI's numbers."""
    table, streams = header, {}
    for number, value in values.items():
        if isinstance(value, int):
            kind = 0x0040 if number == SENT else 0x0003
            table += struct.pack("<HHIQ", kind, number, 6, value)
            continue
        kind = 0x001F if isinstance(value, str) else 0x0102
        data = value.encode("utf-16-le") if isinstance(value, str) else value
        table += struct.pack("<HHIQ", kind, number, 6, len(data))
        streams[f"__substg1.0_{number:04X}{kind:04X}"] = data
    return {"__properties_version1.0": table, **streams}


def outlook(
    values: dict[int, str | bytes | int],
    *,
    recipients: tuple[dict[int, str | bytes | int], ...] = (),
    attached: tuple[dict[int, str | bytes | int], ...] = (),
) -> bytes:
    streams = properties(values, header=bytes(32))
    for kind, parts in (("recip", recipients), ("attach", attached)):
        for number, part in enumerate(parts):
            folder = f"__{kind}_version1.0_#{number:08X}"
            inner = properties(part, header=bytes(8))
            streams |= {f"{folder}/{name}": data for name, data in inner.items()}
    return ole(streams)


HEADERS = (
    "From: Kim <kim@example.com>\r\nTo: Lee\r\nCc: =?utf-8?b?7ZmN6ri464+Z?= <hong@example.com>\r\n"
    "Date: Tue, 05 Mar 2024 12:00:00 +0900\r\n\r\n"
)


def test_a_mail_of_outlook_is_read_as_the_same_mail_in_eml(tmp_path: Path) -> None:
    pytest.importorskip("oxmsg")
    message = mail(Subject="환불 문의", Date="Tue, 05 Mar 2024 12:00:00 +0900")
    message["Cc"] = "홍길동 <hong@example.com>"
    message.set_content("환불은 7일 안에 됩니다.\n")
    message.add_attachment(b"a,b", maintype="text", subtype="csv", filename="prices.csv")
    (eml,) = read(tmp_path / "a.eml", bytes(message)).documents
    data = outlook(
        {
            0x0037: "환불 문의",
            0x007D: HEADERS,
            0x1000: "환불은 7일 안에 됩니다.\r\n",
            0x1013: "<p>환불은 <b>7일</b> 안에 됩니다.".encode(),
        },
        attached=({0x3707: "prices.csv", 0x3701: b"a,b"},),
    )
    result = read(tmp_path / "a.msg", data)
    (msg,) = result.documents
    assert msg.text == eml.text == "환불은 7일 안에 됩니다."
    assert {**msg.metadata, "path": ""} == {**eml.metadata, "path": ""}
    assert msg.metadata["cc"] == "홍길동 <hong@example.com>"
    assert said(result) == ["1 file attached (prices.csv)"]


def test_a_mail_of_outlook_without_headers_or_plain_text(tmp_path: Path) -> None:
    pytest.importorskip("oxmsg")
    noon = (1_709_607_600 + 11_644_473_600) * 10_000_000  # 2024-03-05, from the year 1601
    data = outlook(
        {
            0x0037: "draft",
            SENT: noon,
            0x0C1A: "Kim",
            0x0C1F: "/O=FIRM/CN=KIM",
            0x3FDE: 949,
            0x1013: "<p>똠방각하<p>둘째".encode("cp949"),
        },
        recipients=(
            {0x0C15: 1, 0x3001: "Lee", 0x39FE: "lee@example.com"},
            {0x0C15: 1, 0x3001: "park@example.com", 0x39FE: "park@example.com"},
            {0x0C15: 2, 0x3001: "Choi"},
            {0x0C15: 3, 0x3001: "Hidden"},
        ),
        attached=({0x3001: "A mail inside"}, {0x370E: "image/png"}),
    )
    result = read(tmp_path / "a.msg", data)
    (document,) = result.documents
    assert document.text == "똠방각하\n\n둘째"
    own = {key: document.metadata[key] for key in ("title", "date", "from", "to", "cc")}
    assert own == {
        "title": "draft",
        "date": "2024-03-05",
        "from": "Kim",
        "to": "Lee <lee@example.com>, park@example.com",
        "cc": "Choi",
    }
    assert "hidden" not in str(document.metadata).lower()
    assert said(result) == ["2 files attached (A mail inside, image/png)"]


def test_mails_of_outlook_that_cannot_be_read(tmp_path: Path) -> None:
    pytest.importorskip("oxmsg")
    assert reason(tmp_path / "a.msg", b"From: Kim") == (
        "is not a mail as Outlook saves it; save it again as .msg"
    )
    assert reason(tmp_path / "b.msg", ole({"WordDocument": b"text"})) == (
        "is not a mail as Outlook saves it; save it again as .msg"
    )
    assert reason(tmp_path / "c.msg", outlook({0x1009: b"rtf"})) == (
        "holds its text as RTF alone; save it as HTML in Outlook"
    )
    scan = outlook({0x0037: "scan"}, attached=({0x3707: "scan.pdf"},))
    assert reason(tmp_path / "d.msg", scan) == (
        "holds no text, but scan.pdf attached; save what is attached beside it"
    )


# Books


PACKAGE = """<?xml version="1.0"?>
<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/">
<metadata><dc:title>Handbook</dc:title><dc:creator>Kim</dc:creator><dc:creator>Lee</dc:creator><dc:date>2024-03-05</dc:date>
<dc:language>en</dc:language></metadata>
<manifest><item id="two" href="text/2.xhtml" media-type="application/xhtml+xml"/>
<item id="one" href="text/1%20a.xhtml" media-type="application/xhtml+xml"/>
<item id="gone" href="3.xhtml" media-type="application/xhtml+xml"/>
<item id="pic" href="p.png" media-type="image/png"/>
<item id="map" href="map.svg" media-type="image/svg+xml"/></manifest>
<spine><itemref idref="map"/>
<itemref idref="one"/><itemref idref="two"/><itemref idref="gone"/></spine></package>"""


def book(*encrypted: str, **chapters: str) -> bytes:
    container = (
        '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="OPS/book.opf"/></rootfiles></container>'
    )
    texts = {f"OPS/text/{name}": text for name, text in chapters.items()}
    if encrypted:
        references = "".join(f'<CipherReference URI="{path}"/>' for path in encrypted)
        texts["META-INF/encryption.xml"] = f"<encryption>{references}</encryption>"
    return zipped({"META-INF/container.xml": container, "OPS/book.opf": PACKAGE, **texts})


def test_a_book_s_chapters_are_in_order(tmp_path: Path) -> None:
    chapters = {
        "2.xhtml": "<html><head><title>x</title></head><body><h1>Two</h1><p>Second.</p></html>",
        "1 a.xhtml": "<html><body><h1>One</h1><ol><li>First.</li></ol></body></html>",
    }
    result = read(tmp_path / "a.epub", book(**chapters))
    (document,) = result.documents
    assert document.text == "# One\n\n1. First.\n\n# Two\n\nSecond."
    assert document.metadata["title"] == "Handbook"
    assert document.metadata["creator"] == ["Kim", "Lee"]
    assert document.metadata["date"] == "2024-03-05"
    missing = "1 chapter missing from the book (OPS/3.xhtml)"
    others = ["1 page in other formats than HTML (OPS/map.svg)", "1 picture"]
    assert said(result) == [missing, *others]
    locked = book("OPS/text/2.xhtml", "OPS/font.otf", **chapters)
    result = read(tmp_path / "b.epub", locked)
    assert result.documents[0].text == "# One\n\n1. First."
    assert said(result) == [missing, "1 chapter encrypted (OPS/text/2.xhtml)", *others]


def test_what_chapters_leave_out_is_counted(tmp_path: Path) -> None:
    struck = "<html><body><p>Within <del>30</del> 14 days.</p></body></html>"
    result = read(tmp_path / "a.epub", book(**{"1 a.xhtml": struck, "2.xhtml": struck}))
    assert "2 passages struck out" in said(result)


def test_a_book_whose_chapters_are_all_encrypted(tmp_path: Path) -> None:
    chapters = {"1 a.xhtml": "\x01\x02\x80", "2.xhtml": "\x03\x81"}
    locked = book("OPS/text/1%20a.xhtml", "OPS/text/2.xhtml", **chapters)
    assert reason(tmp_path / "a.epub", locked) == (
        "is encrypted (DRM); take a copy of the book without that"
    )


def test_archives_that_are_no_documents(tmp_path: Path) -> None:
    assert reason(tmp_path / "a.epub", b"text").startswith("is not an EPUB (an older format")
    assert reason(tmp_path / "b.epub", zipped({"a": ""})).startswith("cannot be parsed (")
    assert reason(tmp_path / "c.epub", book()).startswith("holds no text; ")
    assert reason(tmp_path / "a.hwpx", zipped({"a": ""})).startswith("holds no text; ")


# Hangul documents


HWPX = """<?xml version="1.0"?>
<hs:sec xmlns:hs="urn:s" xmlns:hp="urn:p">
<hp:p><hp:run><hp:secPr/><hp:t>제1조 목적</hp:t></hp:run></hp:p>
<hp:p><hp:run><hp:t>환불은<hp:tab/>7일<hp:lineBreak/>안에</hp:t></hp:run>
<hp:run><hp:t> 됩니다.</hp:t>
<hp:ctrl><hp:footNote number="1"><hp:subList><hp:p><hp:run><hp:t>영업일 기준</hp:t></hp:run></hp:p>
</hp:subList></hp:footNote></hp:ctrl><hp:pic/></hp:run></hp:p>
<hp:p><hp:run><hp:tbl>
<hp:tr><hp:tc><hp:subList><hp:p><hp:run><hp:t>요금제</hp:t></hp:run></hp:p></hp:subList>
<hp:cellAddr colAddr="0" rowAddr="0"/><hp:cellSpan colSpan="1" rowSpan="1"/></hp:tc>
<hp:tc><hp:subList><hp:p><hp:run><hp:t>값</hp:t></hp:run></hp:p></hp:subList>
<hp:cellAddr colAddr="1" rowAddr="0"/><hp:cellSpan colSpan="1" rowSpan="1"/></hp:tc></hp:tr>
<hp:tr><hp:tc><hp:subList><hp:p><hp:run><hp:t>기본</hp:t></hp:run></hp:p></hp:subList>
<hp:cellAddr colAddr="0" rowAddr="1"/><hp:cellSpan colSpan="1" rowSpan="2"/></hp:tc>
<hp:tc><hp:subList><hp:p><hp:run><hp:t>1</hp:t></hp:run></hp:p></hp:subList>
<hp:cellAddr colAddr="1" rowAddr="1"/><hp:cellSpan colSpan="1" rowSpan="1"/></hp:tc></hp:tr>
<hp:tr><hp:tc><hp:subList><hp:p><hp:run><hp:t>2</hp:t></hp:run></hp:p></hp:subList>
<hp:cellAddr colAddr="1" rowAddr="2"/><hp:cellSpan colSpan="1" rowSpan="1"/></hp:tc></hp:tr>
</hp:tbl></hp:run></hp:p></hs:sec>"""
ABOUT = (
    '<opf:package xmlns:opf="urn:o"><opf:metadata><opf:title>약관</opf:title>'
    '<opf:meta name="CreatedDate">2024-03-05T01:00:00Z</opf:meta></opf:metadata></opf:package>'
)


def test_a_hangul_document(tmp_path: Path) -> None:
    second = HWPX.partition("<hp:p>")[0] + "<hp:p><hp:run><hp:t>끝</hp:t></hp:run></hp:p></hs:sec>"
    data = zipped(
        {
            "Contents/section10.xml": second,
            "Contents/section0.xml": HWPX,
            "Contents/content.hpf": ABOUT,
        }
    )
    result = read(tmp_path / "a.hwpx", data)
    (document,) = result.documents
    assert document.text == (
        "제1조 목적\n환불은\t7일\n안에 됩니다.\n[1] 영업일 기준\n\n\n요금제 | 값\n--- | ---\n"
        "기본 | 1\n기본 | 2\n\n\n끝"
    )
    assert (document.metadata["title"], document.metadata["date"]) == ("약관", "2024-03-05")
    assert said(result) == ["1 picture"]


def test_a_box_within_a_box_is_read_once(tmp_path: Path) -> None:
    box = "<hp:rect><hp:drawText><hp:subList><hp:p><hp:run>{}</hp:run></hp:p></hp:subList>"
    box += "</hp:drawText></hp:rect>"
    inner = box.format("<hp:t>inner</hp:t>")
    outer = box.format(f"<hp:t>outer</hp:t><hp:container>{inner}{inner}</hp:container>")
    head = HWPX.partition("<hp:p>")[0]
    section = f"{head}<hp:p><hp:run><hp:t>line</hp:t>{outer}</hp:run></hp:p></hs:sec>"
    (document,) = read(tmp_path / "a.hwpx", zipped({"Contents/section0.xml": section})).documents
    assert document.text == "line\nouter\ninner\ninner"


LOOKS = """<hh:head xmlns:hh="urn:h"><hh:charProperties><hh:charPr id="0">
<hh:strikeout shape="3D"/></hh:charPr><hh:charPr id="1"><hh:strikeout shape="NONE"/><hh:supscript/>
</hh:charPr><hh:charPr id="2"><hh:strikeout shape="SOLID"/></hh:charPr><hh:charPr id="3">
<hh:subscript/></hh:charPr></hh:charProperties></hh:head>"""


def test_raised_and_struck_text_of_a_hangul_document(tmp_path: Path) -> None:
    pieces = [("0", "10"), ("1", "6"), ("0", " users, "), ("2", "30"), ("0", " 14<hp:tab/>days, ")]
    pieces += [("0", "H"), ("3", "2"), ("0", "O")]
    runs = "".join(
        f'<hp:run charPrIDRef="{look}"><hp:t>{text}</hp:t></hp:run>' for look, text in pieces
    )
    section = f"{HWPX.partition('<hp:p>')[0]}<hp:p>{runs}</hp:p></hs:sec>"
    data = zipped({"Contents/section0.xml": section, "Contents/header.xml": LOOKS})
    result = read(tmp_path / "a.hwpx", data)
    assert result.documents[0].text == "10^6 users,  14\tdays, H2O"
    assert said(result) == ["1 passage struck out"]


def test_a_cell_of_a_hangul_table_over_two_columns_is_in_both(tmp_path: Path) -> None:
    def cell(text: str, column: int, row: int, width: int = 1) -> str:
        return (
            f"<hp:tc><hp:subList><hp:p><hp:run><hp:t>{text}</hp:t></hp:run></hp:p></hp:subList>"
            f'<hp:cellAddr colAddr="{column}" rowAddr="{row}"/>'
            f'<hp:cellSpan colSpan="{width}" rowSpan="1"/></hp:tc>'
        )

    rows = [
        cell("plan", 0, 0) + cell("month", 1, 0) + cell("year", 2, 0),
        cell("free", 0, 1, 2) + cell("0", 2, 1),
    ]
    table = "".join(f"<hp:tr>{row}</hp:tr>" for row in rows)
    head = HWPX.partition("<hp:p>")[0]
    section = f"{head}<hp:p><hp:run><hp:tbl>{table}</hp:tbl></hp:run></hp:p></hs:sec>"
    (document,) = read(tmp_path / "a.hwpx", zipped({"Contents/section0.xml": section})).documents
    assert document.text == "plan | month | year\n--- | --- | ---\nfree | free | 0"


HWPX_FORM = """<hs:sec xmlns:hs="urn:s" xmlns:hp="urn:p">
<hp:p><hp:run><hp:t>이름: </hp:t><hp:edit><hp:text>김철수</hp:text></hp:edit><hp:t> </hp:t>
<hp:checkBtn caption="동의" value="CHECKED"/><hp:radioBtn caption="반대" value="UNCHECKED"/>
<hp:comboBox selectedValue="2"><hp:listItem displayText="기본" value="1"/>
<hp:listItem displayText="전체" value="2"/></hp:comboBox></hp:run></hp:p>
<hp:p><hp:run><hp:tbl><hp:caption><hp:subList><hp:p><hp:run><hp:t>표 </hp:t>
<hp:ctrl><hp:autoNum num="7" numType="TABLE"/></hp:ctrl><hp:t> 요금</hp:t></hp:run></hp:p>
</hp:subList></hp:caption><hp:tr><hp:tc><hp:subList><hp:p><hp:run><hp:t>무료</hp:t></hp:run></hp:p>
</hp:subList></hp:tc></hp:tr></hp:tbl></hp:run></hp:p>
<hp:p><hp:run><hp:ctrl><hp:fieldBegin type="MEMO"><hp:subList><hp:p><hp:run><hp:t>고칠 것</hp:t>
</hp:run></hp:p></hp:subList></hp:fieldBegin></hp:ctrl><hp:t>끝</hp:t>
<hp:ctrl><hp:autoNum num="3" numType="PAGE"/></hp:ctrl>
<hp:ctrl><hp:hiddenComment><hp:subList><hp:p><hp:run><hp:t>숨김</hp:t></hp:run></hp:p></hp:subList>
</hp:hiddenComment></hp:ctrl></hp:run>
<hp:run><hp:rect><hp:drawText><hp:subList><hp:p><hp:run><hp:t>상자</hp:t><hp:ctrl>
<hp:footNote number="1"><hp:subList><hp:p><hp:run><hp:t>주석</hp:t></hp:run></hp:p></hp:subList>
</hp:footNote></hp:ctrl></hp:run></hp:p></hp:subList></hp:drawText><hp:caption><hp:subList>
<hp:p><hp:run><hp:t>그림 설명</hp:t></hp:run></hp:p></hp:subList></hp:caption>
</hp:rect></hp:run></hp:p>
</hs:sec>"""


def test_forms_captions_and_comments_of_a_hangul_document(tmp_path: Path) -> None:
    result = read(tmp_path / "a.hwpx", zipped({"Contents/section0.xml": HWPX_FORM}))
    (document,) = result.documents
    lines = [line.strip() for line in document.text.splitlines() if line.strip()]
    assert lines == [
        *("이름: 김철수 ☑ 동의 ☐ 반대 전체", "표 7 요금", "무료"),
        *("끝", "상자", "[1] 주석", "그림 설명"),
    ]
    assert said(result) == ["2 comments"]


# Word documents and slides


def test_a_library_that_is_not_installed_is_named_with_its_command() -> None:
    with pytest.raises(DocumentError) as caught:
        imported("no_such_library", extra="office")
    assert str(caught.value) == (
        "is of a kind that needs the package no_such_library; run `pip install 'rag-app[office]'`"
    )


@pytest.mark.skipif(find_spec("mammoth") is not None, reason="it is installed")
def test_a_word_document_without_the_extra_is_listed(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("text", "utf-8")
    (tmp_path / "a.docx").write_bytes(b"PK")
    result = read_documents([tmp_path])
    assert len(result.documents) == 1
    assert result.failures[0].reason.endswith("run `pip install 'rag-app[office]'`")


@pytest.mark.parametrize(
    ("suffix", "library", "extra"),
    [(".docx", "mammoth", "office"), (".msg", "oxmsg", "office"), (".hwp", "olefile", "hwp")],
)
def test_a_kind_of_an_extra_without_it_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, library: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(DocumentError) as caught:
        contents_of(Source(tmp_path / f"a{suffix}", f"a{suffix}"))
    assert str(caught.value) == (
        f"is of a kind that needs the package {library}; run `pip install 'rag-app[{extra}]'`"
    )


def test_a_word_document(tmp_path: Path) -> None:
    pytest.importorskip("mammoth")
    docx = pytest.importorskip("docx")
    made = docx.Document()
    made.core_properties.title = "Handbook"
    made.core_properties.author = "Kim"
    made.add_heading("Refunds", 1)
    line = made.add_paragraph("It costs 10")
    line.add_run("6").font.superscript = True
    line.add_run(" won, not ")
    line.add_run("5").font.strike = True
    made.add_paragraph("Open", style="List Number")
    made.add_paragraph("Pay", style="List Number")
    table = made.add_table(rows=2, cols=2)
    for cell, text in zip(
        [cell for row in table.rows for cell in row.cells],
        ["plan", "price", "Basic", "10"],
        strict=True,
    ):
        cell.text = text
    out = io.BytesIO()
    made.save(out)
    (document,) = read(tmp_path / "a.docx", out.getvalue()).documents
    assert document.text == (
        "# Refunds\n\nIt costs 10^6 won, not\n\n1. Open\n2. Pay\n\n"
        "plan | price\n--- | ---\nBasic | 10"
    )
    assert (document.metadata["title"], document.metadata["creator"]) == ("Handbook", "Kim")
    assert document.metadata["kind"] == "docx"


PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
LIST = f"""<w:abstractNum {WORD} w:abstractNumId="77">
<w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="제%1조"/></w:lvl>
<w:lvl w:ilvl="1"><w:numFmt w:val="lowerLetter"/><w:lvlText w:val="%2)"/></w:lvl>
</w:abstractNum>"""
RESTART = '<w:lvlOverride w:ilvl="0"><w:startOverride w:val="9"/></w:lvlOverride>'


def test_numbers_of_word_go_on_after_an_interruption(tmp_path: Path) -> None:
    pytest.importorskip("mammoth")
    docx = pytest.importorskip("docx")
    from docx.oxml import parse_xml

    made = docx.Document()
    numberings = made.part.numbering_part.element
    numberings.insert(0, parse_xml(LIST))
    for number, restart in ((77, ""), (78, RESTART)):
        numberings.append(
            parse_xml(
                f'<w:num {WORD} w:numId="{number}"><w:abstractNumId w:val="77"/>{restart}</w:num>'
            )
        )

    def line(text: str, number: int = 77, level: int = 0, style: str | None = None) -> None:
        about = made.add_paragraph(text, style=style)._p.get_or_add_pPr()
        about.append(
            parse_xml(
                f'<w:numPr {WORD}><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>'
            )
        )

    line("Aim")
    line("one", level=1)
    line("two", level=1)
    made.add_paragraph("Between.")
    line("Scope", style="Heading 1")
    line("three", level=1)
    line("Fees", 78)
    line("Days", 78)
    made.add_paragraph("Open", style="List Number")
    made.add_paragraph("Wait.")
    made.add_paragraph("Pay", style="List Number")
    made.add_paragraph("point", style="List Bullet")
    out = io.BytesIO()
    made.save(out)
    (document,) = read(tmp_path / "a.docx", out.getvalue()).documents
    assert document.text == (
        "제1조 Aim\n\na) one\nb) two\n\nBetween.\n\n# 제2조 Scope\n\na) three\n\n"
        "제9조 Fees\n제10조 Days\n1. Open\n\nWait.\n\n2. Pay\n\n- point"
    )


def test_what_mammoth_passes_over_is_read_or_counted(tmp_path: Path) -> None:
    pytest.importorskip("mammoth")
    docx = pytest.importorskip("docx")
    from docx.oxml import parse_xml

    formula = """<m:oMath xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math">
<m:sSup><m:sSupPr/><m:e><m:r><m:t>x</m:t></m:r></m:e><m:sup><m:r><m:t>2</m:t></m:r></m:sup></m:sSup>
<m:r><m:t>=</m:t></m:r><m:f><m:num><m:r><m:t>a+b</m:t></m:r></m:num><m:den><m:r><m:t>2</m:t></m:r>
</m:den></m:f></m:oMath>"""
    made = docx.Document()
    line = made.add_paragraph("Since ")
    line._p.append(
        parse_xml(f'<w:fldSimple {WORD} w:instr="DATE"><w:r><w:t>5 May</w:t></w:r></w:fldSimple>')
    )
    line.add_run(" within ")
    line.add_run("30 ").font.double_strike = True
    line.add_run("14 days: ")
    line._p.append(parse_xml(formula))
    made.sections[0].header.paragraphs[0].text = "Kim & Lee"
    made.sections[0].footer.paragraphs[0].text = "Valid until 2025"
    out = io.BytesIO()
    made.save(out)
    result = read(tmp_path / "a.docx", out.getvalue())
    assert result.documents[0].text == "Since 5 May within 14 days: x^2=(a+b)/2"
    assert said(result) == [
        "1 passage struck out",
        "1 header of pages (Kim & Lee)",
        "1 footer of pages (Valid until 2025)",
    ]


def test_cells_of_word_over_rows_and_columns(tmp_path: Path) -> None:
    pytest.importorskip("mammoth")
    docx = pytest.importorskip("docx")
    made = docx.Document()
    table = made.add_table(rows=4, cols=3)
    texts = [("plan", "month", "year"), ("Pro", "1", "10"), ("", "2", ""), ("More", "", "")]
    for row, line in zip(table.rows, texts, strict=True):
        for cell, text in zip(row.cells, line, strict=True):
            cell.text = text
    table.cell(1, 0).add_paragraph("Max")
    table.cell(1, 0).merge(table.cell(2, 0))
    table.cell(2, 1).merge(table.cell(2, 2))
    table.cell(3, 1).text = "Two paragraphs."
    table.cell(3, 1).add_paragraph("In a cell.")
    out = io.BytesIO()
    made.save(out)
    (document,) = read(tmp_path / "a.docx", out.getvalue()).documents
    assert document.text == (
        "plan | month | year\n--- | --- | ---\nPro Max | 1 | 10\nPro Max | 2 | 2\n"
        "More | Two paragraphs. In a cell. |"
    )


def test_cells_of_slides_over_rows_and_columns(tmp_path: Path) -> None:
    pptx = pytest.importorskip("pptx")
    made = pptx.Presentation()
    slide = made.slides.add_slide(made.slide_layouts[6])
    table = slide.shapes.add_table(3, 3, 0, 0, 99, 99).table
    for number, text in enumerate(["plan", "month", "year", "Pro", "1", "", "", "2", "20"]):
        table.cell(number // 3, number % 3).text = text
    table.cell(1, 0).merge(table.cell(2, 0))
    table.cell(1, 1).merge(table.cell(1, 2))
    out = io.BytesIO()
    made.save(out)
    (document,) = read(tmp_path / "a.pptx", out.getvalue()).documents
    assert document.text == ("plan | month | year\n--- | --- | ---\nPro | 1 | 1\nPro | 2 | 20")


def test_pictures_of_slides_are_counted(tmp_path: Path) -> None:
    pptx = pytest.importorskip("pptx")
    made = pptx.Presentation()
    slide = made.slides.add_slide(made.slide_layouts[5])
    slide.shapes.title.text = "Plan"
    slide.shapes.add_picture(io.BytesIO(PIXEL), 0, 0)
    out = io.BytesIO()
    made.save(out)
    assert said(read(tmp_path / "a.pptx", out.getvalue())) == ["1 picture"]


def test_raised_struck_and_numbered_text_of_slides(tmp_path: Path) -> None:
    pptx = pytest.importorskip("pptx")
    made = pptx.Presentation()
    slide = made.slides.add_slide(made.slide_layouts[1])
    slide.shapes.title.text = "Steps"
    frame = slide.placeholders[1].text_frame

    def line(text: str, numbering: str = "", level: int = 0, start: str = "") -> None:
        paragraph = frame.add_paragraph()
        paragraph.level = level
        paragraph.add_run().text = text
        if numbering:
            numbered = paragraph._p.get_or_add_pPr().makeelement(
                "{http://schemas.openxmlformats.org/drawingml/2006/main}buAutoNum",
                {"type": numbering} | ({"startAt": start} if start else {}),
            )
            paragraph._p.get_or_add_pPr().append(numbered)

    line("Open", "arabicPeriod")
    line("at nine", "alphaLcParenR", 1)
    line("at ten", "alphaLcParenR", 1)
    line("Pay", "arabicPeriod")
    line("plain")
    line("Again", "arabicPeriod")
    line("Later", "romanUcPeriod", 0, "4")
    for text, look in [
        ("10", {}),
        ("6", {"baseline": "30000"}),
        (" won", {}),
        ("30", {"strike": "sngStrike"}),
    ]:
        run = frame.paragraphs[0].add_run()
        run.text = text
        for name, value in look.items():
            run._r.get_or_add_rPr().set(name, value)
    out = io.BytesIO()
    made.save(out)
    result = read(tmp_path / "a.pptx", out.getvalue())
    assert result.documents[0].text == (
        "# Steps\n\n10^6 won\n1. Open\na) at nine\nb) at ten\n2. Pay\nplain\n1. Again\nIV. Later"
    )
    assert said(result) == ["1 passage struck out"]


def test_slides_keep_their_numbers(tmp_path: Path) -> None:
    pptx = pytest.importorskip("pptx")
    made = pptx.Presentation()
    first = made.slides.add_slide(made.slide_layouts[1])
    first.shapes.title.text = "Prices"
    first.placeholders[1].text = "Basic\nFull"
    first.notes_slide.notes_text_frame.text = "Say that it is cheap."
    made.slides.add_slide(made.slide_layouts[6])
    third = made.slides.add_slide(made.slide_layouts[6])
    table = third.shapes.add_table(2, 2, 0, 0, 99, 99).table
    for number, text in enumerate(["plan", "price", "Basic", "10"]):
        table.cell(number // 2, number % 2).text = text
    out = io.BytesIO()
    made.save(out)
    result = read(tmp_path / "a.pptx", out.getvalue())
    (document,) = result.documents
    assert document.text == (
        "# Prices\n\nBasic\nFull\n\nSay that it is cheap.\n\nplan | price\n--- | ---\nBasic | 10"
    )
    third_begins = document.text.index("plan |")
    assert document.metadata["page_starts"] == f"[0, {third_begins - 2}, {third_begins}]"
    assert document.metadata["title"] == "Prices"
    assert said(result) == ["1 slide without text (slide 2)"]


NAMES = (
    'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" '
    'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math" '
    'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
    'xmlns:d="http://schemas.openxmlformats.org/drawingml/2006/diagram" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships" '
    'xmlns:v="urn:schemas-microsoft-com:vml" xmlns:s="urn:wps"'
)


def maths(text: str) -> str:
    return f"<m:r><m:t>{text}</m:t></m:r>"


# The formula of the roots of a quadratic equation.
ROOTS = (
    f"<m:oMath>{maths('x=')}<m:f><m:num>{maths('-b±')}<m:rad><m:deg/><m:e><m:sSup><m:e>"
    f"{maths('b')}</m:e><m:sup>{maths('2')}</m:sup></m:sSup>{maths('-4ac')}</m:e></m:rad>"
    f"</m:num><m:den>{maths('2a')}</m:den></m:f></m:oMath>"
)
SUM = (
    '<m:oMathPara><m:oMath><m:nary><m:naryPr><m:chr m:val="∑"/></m:naryPr><m:sub>'
    f"{maths('i=1')}</m:sub><m:sup>{maths('n')}</m:sup><m:e><m:sSub><m:e>{maths('a')}</m:e>"
    f"<m:sub>{maths('i')}</m:sub></m:sSub></m:e></m:nary></m:oMath></m:oMathPara>"
)


def box(text: str) -> str:
    return f"<w:txbxContent><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:txbxContent>"


def drawn(inner: str) -> str:
    return f"<w:drawing><s:anchor><a:graphic>{inner}</a:graphic></s:anchor></w:drawing>"


def with_members(data: bytes, members: dict[str, str]) -> bytes:
    """An archive with further members, or with others in their place."""
    out = io.BytesIO(data)
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for member in old.namelist():
            new.writestr(member, members.pop(member, "") or old.read(member))
        for name, text in members.items():
            new.writestr(name, text)
    return out.getvalue()


def test_what_mammoth_passes_over_in_a_word_document(tmp_path: Path) -> None:
    pytest.importorskip("mammoth")
    docx = pytest.importorskip("docx")
    made = docx.Document()
    section = made.sections[0]
    section.header.paragraphs[0].text = "Acme GmbH, confidential"
    section.footer.paragraphs[0].text = "- 7 -"
    section.different_first_page_header_footer = True
    section.first_page_header.paragraphs[0].text = "Acme GmbH, confidential"
    out = io.BytesIO()
    made.save(out)
    related = '<d:relIds r:dm="rId99"/>'
    old = f"<mc:Fallback><w:pict><v:shape><v:textbox>{box('old')}</v:textbox></v:shape></w:pict>"
    body = (
        f"<w:p><w:r><w:t>Roots: </w:t></w:r>{ROOTS}<w:r><w:t>.</w:t></w:r></w:p><w:p>{SUM}</w:p>"
        f"<w:p><w:r><mc:AlternateContent><mc:Choice>{drawn(box('alone'))}</mc:Choice>"
        f"</mc:AlternateContent></w:r></w:p><w:p><w:r>{drawn(box('bare'))}</w:r></w:p>"
        f"<w:p><w:r><mc:AlternateContent><mc:Choice>{drawn(box('new'))}</mc:Choice>"
        f"{old}</mc:Fallback></mc:AlternateContent></w:r></w:p>"
        f"<w:p><w:r>{drawn(related)}</w:r></w:p>"
    )
    diagram = "<a:p><a:r><a:t>Plan</a:t></a:r></a:p><a:p/><a:p><a:r><a:t>Do</a:t></a:r></a:p>"
    data = with_members(
        out.getvalue(),
        {
            "word/document.xml": f"<w:document {NAMES}><w:body>{body}</w:body></w:document>",
            "word/_rels/document.xml.rels": '<Relationships xmlns="http://schemas.openxmlformats.'
            'org/package/2006/relationships"><Relationship Id="rId99" Type="diagramData" '
            'Target="diagrams/data1.xml"/></Relationships>',
            "word/diagrams/data1.xml": f"<d:dataModel {NAMES}>{diagram}</d:dataModel>",
            "word/charts/chart1.xml": "<c/>",
        },
    )
    result = read(tmp_path / "a.docx", data)
    assert result.documents[0].text.split("\n\n") == [
        "Roots: x=(-b±√(b^2-4ac))/2a.",
        "∑_(i=1)^n a_i",
        *("alone", "bare", "old", "Plan", "Do"),
    ]
    assert said(result) == [
        "1 chart",
        "1 header of pages (Acme GmbH, confidential)",
    ]


def test_choices_in_a_form_of_word_and_what_is_inserted(tmp_path: Path) -> None:
    pytest.importorskip("mammoth")
    docx = pytest.importorskip("docx")
    out = io.BytesIO()
    docx.Document().save(out)

    def made(body: str) -> bytes:
        document = f"<w:document {NAMES}><w:body>{body}</w:body></w:document>"
        return with_members(out.getvalue(), {"word/document.xml": document})

    entries = "".join(f'<w:listEntry w:val="{one}"/>' for one in ("red", "blue"))
    form = "".join(
        f'<w:p><w:r><w:t>Colour: </w:t></w:r><w:r><w:fldChar w:fldCharType="begin"><w:ffData>'
        f"<w:ddList>{chosen}{entries}</w:ddList></w:ffData></w:fldChar></w:r><w:r><w:instrText>"
        ' FORMDROPDOWN </w:instrText></w:r><w:r><w:fldChar w:fldCharType="end"/></w:r></w:p>'
        for chosen in ("", '<w:result w:val="1"/>', '<w:result w:val="9"/>')
    )
    placed = "<w:p><w:r><w:object><v:OLEObject/></w:object></w:r></w:p>"
    result = read(tmp_path / "a.docx", made(f"{form}{placed}<w:altChunk/>"))
    assert result.documents[0].text.split("\n\n") == ["Colour: red", "Colour: blue", "Colour:"]
    assert said(result) == ["1 document inserted whole", "1 object of other programs"]
    assert reason(tmp_path / "b.docx", made("<w:altChunk/><w:altChunk/>")) == (
        "holds no text, but 2 documents inserted whole; open it in Word and save it"
    )


def test_pictures_diagrams_and_equations_of_slides(tmp_path: Path) -> None:
    pptx = pytest.importorskip("pptx")
    from pptx.opc.package import Part
    from pptx.opc.packuri import PackURI
    from pptx.oxml import parse_xml

    made = pptx.Presentation()
    slide = made.slides.add_slide(made.slide_layouts[5])
    slide.shapes.title.text = "Plan"
    dot = bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
        "0000000a49444154789c636000000002000148afa4710000000049454e44ae426082"
    )
    for said_of_it in ("A map of the office", "image1.png"):
        picture = slide.shapes.add_picture(io.BytesIO(dot), 0, 0, 99, 99)
        picture.element.nvPicPr.cNvPr.set("descr", said_of_it)
    diagram = "<a:p><a:r><a:t>Check</a:t></a:r></a:p><a:p><a:r><a:t>Act</a:t></a:r></a:p>"
    part = Part(
        PackURI("/ppt/diagrams/data1.xml"),
        "application/vnd.openxmlformats-officedocument.drawingml.diagramData+xml",
        made.part.package,
        f"<d:dataModel {NAMES}>{diagram}</d:dataModel>".encode(),
    )
    frame = slide.shapes.add_table(1, 1, 0, 0, 9, 9)._element
    holder = frame.graphic.graphicData
    holder.set("uri", "http://schemas.openxmlformats.org/drawingml/2006/diagram")
    holder[:] = [parse_xml(f'<d:relIds {NAMES} r:dm="{slide.part.relate_to(part, "data")}"/>')]
    slide.shapes._spTree.append(
        parse_xml(
            f"<mc:AlternateContent {NAMES}><mc:Choice><a:p><a:r><a:t>Roots:</a:t></a:r>{ROOTS}"
            "</a:p></mc:Choice></mc:AlternateContent>"
        )
    )
    slide.shapes.add_ole_object(io.BytesIO(b"a,b"), "Package", 0, 0, 99, 99)
    out = io.BytesIO()
    made.save(out)
    result = read(tmp_path / "a.pptx", out.getvalue())
    assert result.documents[0].text.split("\n\n") == [
        *("# Plan", "A map of the office", "Check\nAct", "Roots:", "x=(-b±√(b^2-4ac))/2a"),
    ]
    assert said(result) == ["2 pictures", "1 object of other programs"]
