"""What a reader leaves out is counted and named; what it can read, it reads."""

import io
import json
import zipfile
from collections.abc import Sequence
from datetime import datetime
from datetime import time as dt_time
from pathlib import Path
from typing import Any

import openpyxl
import openpyxl.chart
import openpyxl.comments
import openpyxl.styles
import pytest
from pypdf import PdfWriter
from pypdf.annotations import FreeText, Text
from pypdf.generic import (
    ArrayObject,
    BooleanObject,
    DecodedStreamObject,
    DictionaryObject,
    NameObject,
    NumberObject,
    PdfObject,
    TextStringObject,
)

from rag_app.documents import ReadResult, read_documents, why_skipped
from rag_app.documents.left_out import LeftOut, numbered


def read(path: Path, content: bytes | str) -> ReadResult:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    result = read_documents([path])
    assert result.failures == []
    return result


def said(result: ReadResult) -> list[str]:
    """What was left out of the one file."""
    return [str(left) for all_left in result.left_out.values() for left in all_left]


def test_numbers_are_shown_as_runs() -> None:
    assert numbered("page", [5, 2, 3, 9]) == "pages 2-3, 5, 9"
    assert numbered("row", [4]) == "row 4"
    assert numbered("row", range(1, 100, 2)) == (
        "rows 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, ..."
    )
    assert str(LeftOut("rows", 1200)) == "1,200 rows"


# PDF


def add_page(writer: PdfWriter, *, text: str = "", picture: bool = False) -> None:
    page = writer.add_blank_page(600, 800)
    font = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"}
    resources = DictionaryObject(
        {
            NameObject("/Font"): DictionaryObject(
                {
                    NameObject("/F1"): (
                        DictionaryObject({NameObject(k): NameObject(v) for k, v in font.items()})
                    )
                }
            )
        }
    )
    content = f"BT /F1 12 Tf 50 700 Td ({text}) Tj ET" if text else ""
    if picture:
        image = DecodedStreamObject()
        image.set_data(b"\x80")
        image.update(
            {
                NameObject(k): v
                for k, v in {
                    "/Type": NameObject("/XObject"),
                    "/Subtype": NameObject("/Image"),
                    "/Width": NumberObject(1),
                    "/Height": NumberObject(1),
                    "/ColorSpace": NameObject("/DeviceGray"),
                    "/BitsPerComponent": NumberObject(8),
                }.items()
            }
        )
        images = DictionaryObject({NameObject("/I"): writer._add_object(image)})
        resources[NameObject("/XObject")] = images
        content += " q 600 0 0 800 0 0 cm /I Do Q"
    stream = DecodedStreamObject()
    stream.set_data(content.encode())
    page[NameObject("/Resources")] = resources
    page[NameObject("/Contents")] = writer._add_object(stream)


def saved(writer: PdfWriter) -> bytes:
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def test_pages_that_are_pictures_are_named(tmp_path: Path) -> None:
    writer = PdfWriter()
    add_page(writer, text="The first page has words.")
    for _ in range(3):
        add_page(writer, picture=True)
    add_page(writer)
    # A scan with a page number printed on it.
    add_page(writer, text="6 of 7", picture=True)
    add_page(
        writer,
        text="A picture behind a whole sentence of text, as on the page of a slide or a brochure.",
        picture=True,
    )
    result = read(tmp_path / "a.pdf", saved(writer))
    assert said(result) == [
        "4 pages without text, perhaps scanned: --ocr reads them (pages 2-4, 6)"
    ]
    assert "A picture behind" in result.documents[0].text


def test_notes_on_a_page_are_text_and_attached_files_are_named(tmp_path: Path) -> None:
    writer = PdfWriter()
    add_page(writer, text="Refunds take 7 days.")
    writer.add_annotation(0, FreeText(text="Since May: 14 days.", rect=(50, 550, 200, 650)))
    writer.add_annotation(0, Text(text="환불 확인", rect=(50, 500, 60, 510)))
    add_page(writer, text="Second page.")
    writer.add_attachment("prices.csv", b"a,b")
    result = read(tmp_path / "a.pdf", saved(writer))
    (document,) = result.documents
    assert document.text == "Refunds take 7 days.\nSince May: 14 days.\n환불 확인\n\nSecond page."
    starts = json.loads(document.metadata["page_starts"])
    assert document.text[starts[1] :] == "Second page."
    assert said(result) == ["1 file attached (prices.csv)"]


def note(kind: str, text: str, **entries: PdfObject) -> DictionaryObject:
    made: dict[str, PdfObject] = {
        "Type": NameObject("/Annot"),
        "Subtype": NameObject(f"/{kind}"),
        "Rect": ArrayObject(map(NumberObject, (50, 500, 60, 510))),
        "Contents": TextStringObject(text),
        **entries,
    }
    return DictionaryObject({NameObject(f"/{key}"): value for key, value in made.items()})


MARKS = (
    *("Highlight", "Underline", "StrikeOut", "Squiggly", "Ink", "Line", "Square", "Circle"),
    *("Polygon", "PolyLine", "Caret", "Text", "FreeText", "Stamp"),
)


def test_notes_of_every_kind_are_text(tmp_path: Path) -> None:
    writer = PdfWriter()
    add_page(writer, text="Refunds take 7 days.")
    notes = [note(kind, f"about a {kind}") for kind in (*MARKS, "Link", "Popup")]
    writer.pages[0][NameObject("/Annots")] = ArrayObject(map(writer._add_object, notes))
    (document,) = read(tmp_path / "a.pdf", saved(writer)).documents
    assert document.text.split("\n") == [
        "Refunds take 7 days.",
        *(f"about a {kind}" for kind in MARKS),
    ]


def test_a_file_attached_to_a_note_is_named(tmp_path: Path) -> None:
    writer = PdfWriter()
    add_page(writer, text="Refunds take 7 days.")
    stream = DecodedStreamObject()
    stream.set_data(b"a,b")
    file = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Filespec"),
            NameObject("/F"): TextStringObject("prices.csv"),
            NameObject("/UF"): TextStringObject("가격.csv"),
            NameObject("/EF"): DictionaryObject({NameObject("/F"): writer._add_object(stream)}),
        }
    )
    notes = [
        note("FileAttachment", "Prices of May", FS=writer._add_object(file)),
        note("FileAttachment", ""),
    ]
    writer.pages[0][NameObject("/Annots")] = ArrayObject(map(writer._add_object, notes))
    result = read(tmp_path / "a.pdf", saved(writer))
    assert result.documents[0].text == "Refunds take 7 days.\nPrices of May"
    assert said(result) == ["2 files attached (가격.csv, without a name)"]


def test_values_of_a_form_are_text(tmp_path: Path) -> None:
    writer = PdfWriter()
    add_page(writer, text="Application")

    def field(**entries: object) -> DictionaryObject:
        made = DictionaryObject(
            {
                NameObject("/Type"): NameObject("/Annot"),
                NameObject("/Subtype"): NameObject("/Widget"),
                NameObject("/Rect"): ArrayObject(map(NumberObject, (50, 600, 200, 620))),
            }
        )
        for key, value in entries.items():
            made[NameObject(f"/{key}")] = value
        return made

    states = DictionaryObject({NameObject(f"/{s}"): DecodedStreamObject() for s in ("Yes", "Off")})
    looks = DictionaryObject({NameObject("/N"): states})
    text, ticked, unticked = NameObject("/Tx"), NameObject("/Yes"), NameObject("/Off")
    fields = [
        field(FT=text, T=TextStringObject("Deposit"), V=TextStringObject("5,000,000 원")),
        field(FT=text, T=TextStringObject("Empty")),
        field(
            FT=NameObject("/Ch"),
            Ff=NumberObject(1 << 21),
            T=TextStringObject("Rooms"),
            Opt=ArrayObject(map(TextStringObject, ("Kitchen", "Bath", "Attic"))),
            V=ArrayObject(map(TextStringObject, ("Kitchen", "Attic"))),
        ),
        field(FT=NameObject("/Btn"), T=TextStringObject("Pets"), V=ticked, AS=ticked, AP=looks),
        field(FT=NameObject("/Btn"), T=TextStringObject("Car"), V=unticked, AS=unticked, AP=looks),
    ]
    references = ArrayObject(writer._add_object(one) for one in fields)
    writer.pages[0][NameObject("/Annots")] = references
    writer._root_object[NameObject("/AcroForm")] = DictionaryObject(
        {
            NameObject("/Fields"): references,
            NameObject("/NeedAppearances"): BooleanObject(True),
        }
    )
    (document,) = read(tmp_path / "a.pdf", saved(writer)).documents
    assert document.text == ("Application\nDeposit: 5,000,000 원\nRooms: Kitchen, Attic\nPets: Yes")


# Tables


def workbook(*sheets: Sequence[Sequence[object]], names: Sequence[str] = ()) -> "openpyxl.Workbook":
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for number, lines in enumerate(sheets):
        sheet = book.create_sheet(names[number] if names else None)
        for line in lines:
            sheet.append(list(line))
    return book


def packed(book: "openpyxl.Workbook") -> bytes:
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


QA = ("question", "answer")


def test_rows_whose_formula_has_no_saved_value_are_named(tmp_path: Path) -> None:
    book = workbook([QA, ("How much?", "=2*3"), ("When?", "Soon."), ("Why?", None), (None, None)])
    result = read(tmp_path / "a.xlsx", packed(book))
    assert [document.text for document in result.documents] == ["Soon."]
    assert said(result) == [
        "1 row with a formula that has no saved value (row 2)",
        "1 row without an answer (row 4)",
    ]
    (tmp_path / "b.xlsx").write_bytes(packed(workbook([QA, ("How much?", "=2*3")])))
    (failure,) = read_documents([tmp_path / "b.xlsx"]).failures
    assert failure.reason == (
        "holds formulas without their values; open it in a spreadsheet and save it again"
    )


def test_sheets_that_are_not_read_are_named(tmp_path: Path) -> None:
    book = workbook(
        [QA, ("a", "A.")],
        [("Prices", 2024), ("Basic", 10)],
        [],
        [("note",), QA, ("b", "B."), ("c", None)],
        names=["One", "Prices", "Empty", "More"],
    )
    book["More"]["A1"].comment = openpyxl.comments.Comment("see mail", "Kim")
    result = read(tmp_path / "a.xlsx", packed(book))
    assert sorted(document.text for document in result.documents) == ["A.", "B."]
    assert said(result) == [
        "1 sheet without columns question and answer (Prices)",
        "1 row above the header (sheet More, row 1)",
        "1 comment on cells (sheet More)",
        "1 row without an answer (sheet More, row 4)",
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "FAQ of the shop\n\nExported,2024-03-05,by Kim\nquestion,answer,topic\na,A.,x\n"),
        ("a.csv", "FAQ of the shop;;\nas of: 5.3.2024;;\nquestion;answer;topic\na;A.;x\n"),
        ("a.tsv", "FAQ\n\tof\tthe shop\n질문\t답변\ttopic\na\tA.\tx\n"),
    ],
)
def test_what_stands_above_the_header_is_no_row(tmp_path: Path, name: str, text: str) -> None:
    result = read(tmp_path / name, text)
    (document,) = result.documents
    assert (document.text, document.metadata["topic"]) == ("A.", "x")
    (left,) = said(result)
    assert left.startswith("2 rows above the header (rows 1")


@pytest.mark.parametrize("is_shared", [True, False])
def test_raised_and_struck_text_of_a_cell(tmp_path: Path, is_shared: bool) -> None:
    rich = (
        "<r><t>10</t></r><r><rPr><vertAlign val='superscript'/></rPr><t>6</t></r><r><t> users, "
        "</t></r><r><rPr><strike/></rPr><t>30 </t></r><r><rPr><strike val='0'/></rPr><t>14 days"
        "</t></r>"
    )
    strings = (
        '<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><si><t>x</t></si>'
        f"<si>{rich}</si></sst>"
    )
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(packed(workbook([QA, ("q", "RICH")])))) as made,
        zipfile.ZipFile(out, "w") as new,
    ):
        for member in made.infolist():
            text = made.read(member).decode()
            if is_shared:
                text = text.replace('t="inlineStr"><is><t>RICH</t></is>', 't="s"><v>1</v>')
            text = text.replace("<is><t>RICH</t></is>", f"<is>{rich}</is>")
            if member.filename != "xl/sharedStrings.xml":
                new.writestr(member, text)
        new.writestr("xl/sharedStrings.xml", strings)
    result = read(tmp_path / "a.xlsx", out.getvalue())
    assert [document.text for document in result.documents] == ["10^6 users, 14 days"]
    assert said(result) == ["1 row with passages struck out (row 2)"]


def test_columns_and_rows_of_which_nothing_is_kept_are_named(tmp_path: Path) -> None:
    long = "Why did you choose our shop and none of the others that are in the same street?"
    text = f"question,answer,,topic,Topic,{long}\na,A.,here,x,y,near\n,,,x,,\nb,,,,,\nc,C.,,x,,\n"
    result = read(tmp_path / "a.csv", text)
    assert {one.text: one.metadata["topic"] for one in result.documents} == {"A.": "x", "C.": "x"}
    assert said(result) == [
        "1 row with cells under no column (row 2)",
        "1 column with the name of an earlier one (topic)",
        "1 column with a name over 64 characters "
        "(why_did_you_choose_our_shop_and_none_of_the_others_that_are_in_t...)",
        "1 row without an answer (row 4)",
        "1 row with neither question nor answer (row 3)",
    ]
    book = workbook([(*QA, "topic"), ("a", "A.", "x"), (None, None, "y")])
    assert said(read(tmp_path / "a.xlsx", packed(book))) == [
        "1 row with neither question nor answer (row 3)"
    ]


def test_fields_of_front_matter_that_are_not_kept_are_named(tmp_path: Path) -> None:
    long = "a sentence that goes on until there is a colon which YAML takes for a key"
    text = f"---\ntags: [a]\nTAGS: [b]\nTopic: x\ntopic: x\n{long}: value\n---\nBody"
    result = read(tmp_path / "a.md", text)
    assert result.documents[0].metadata["tags"] == ["a"]
    assert said(result) == [
        "1 field of the same name (TAGS)",
        "1 field with a name over 64 characters "
        "(a_sentence_that_goes_on_until_there_is_a_colon_which_yaml_takes_...)",
    ]


def test_a_cell_that_is_struck_out_is_left_out(tmp_path: Path) -> None:
    book = workbook([(*QA, "fee"), ("a", "A.", 5), ("b", "B.", 7)])
    book.worksheets[0]["B2"].font = openpyxl.styles.Font(strike=True)
    book.worksheets[0]["C3"].font = openpyxl.styles.Font(strike=True)
    result = read(tmp_path / "a.xlsx", packed(book))
    found = {document.text: document.metadata.get("fee") for document in result.documents}
    assert found == {"B.": None}
    assert said(result) == [
        "2 rows with passages struck out (rows 2-3)",
        "1 row without an answer (row 2)",
    ]


def test_what_a_spreadsheet_shows_where_there_is_no_value_is_no_answer(tmp_path: Path) -> None:
    lines = [(*QA, "fee"), ("a", "A.", "#REF!"), ("b", "#DIV/0!", 5), ("c", "Fee: #N/A", 7)]
    for path in (tmp_path / "a.xlsx", tmp_path / "a.csv"):
        written = "\n".join(",".join(map(str, line)) for line in lines)
        result = read(path, packed(workbook(lines)) if path.suffix == ".xlsx" else written)
        found = {document.text: document.metadata.get("fee") for document in result.documents}
        assert found == {"A.": None, "Fee: #N/A": "7"}
        assert said(result) == [
            "2 rows with an error in place of a value (rows 2-3)",
            "1 row without an answer (row 3)",
        ]


A = "http://schemas.openxmlformats.org/drawingml/2006/main"


def test_what_lies_over_the_cells_of_a_sheet_is_counted(tmp_path: Path) -> None:
    book = workbook([QA, ("a", "A.")])
    book.worksheets[0].add_chart(openpyxl.chart.LineChart(), "D9")
    shape = "<sp><txBody><a:p><a:r><a:t>{}</a:t></a:r></a:p></txBody></sp></wsDr>"
    data = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(packed(book))) as old, zipfile.ZipFile(data, "w") as new:
        for name in old.namelist():
            member = old.read(name).decode()
            if name == "xl/worksheets/_rels/sheet1.xml.rels":
                member = member.replace("</Rel", '<Relationship Type="a/oleObject" Id="x"/></Rel')
            if name == "xl/drawings/drawing1.xml":
                member = member.replace("<wsDr ", f'<wsDr xmlns:a="{A}" ')
                for text in ("Prices hold until May.", " "):
                    member = member.replace("</wsDr>", shape.format(text))
            new.writestr(name, member)
    result = read(tmp_path / "a.xlsx", data.getvalue())
    assert said(result) == ["1 chart", "1 shape with text", "1 object of other programs"]


def test_cells_are_as_their_formats_show_them(tmp_path: Path) -> None:
    cells: list[tuple[str, Any, str, str]] = [
        ("vat", 0.155, "0.0%", "15.5%"),
        ("share", 0.5, "0%", "50%"),
        ("code", 123, "00000", "00123"),
        ("price", 5000000, "[$₩-412]#,##0", "₩5,000,000"),
        ("fee", -1234.5, "#,##0.00", "-1,234.50"),
        ("loss", -12, "#,##0;(#,##0)", "(12)"),
        ("unit", 7, '0" days"', "7 days"),
        ("plain", 17.5, "General", "17.5"),
        ("whole", 7.0, "General", "7"),
        ("sum", 0.1 + 0.2, "General", "0.3"),
        ("day", datetime(2024, 3, 5), "yyyy-mm-dd", "2024-03-05"),
        ("moment", datetime(2024, 3, 5, 12, 30), "m/d/yy h:mm", "2024-03-05 12:30:00"),
        ("opens", dt_time(9, 30), "h:mm", "09:30:00"),
        ("lasts", 1.5, "[h]:mm", "36:00:00"),
        ("less", -0.0625, "[h]:mm", "-1:30:00"),
        ("flag", True, "General", "True"),
        ("zip", "01234", "@", "01234"),
    ]
    book = workbook([(*QA, *(name for name, *_ in cells)), ("q", "A.")])
    for column, (_, value, code, _) in enumerate(cells, 3):
        cell = book.worksheets[0].cell(2, column, value)
        cell.number_format = code
    (document,) = read(tmp_path / "a.xlsx", packed(book)).documents
    found = {name: document.metadata.get(name) for name, *_ in cells}
    assert found == {name: shown for name, _, _, shown in cells}


def test_a_merged_cell_counts_for_each_of_its_rows(tmp_path: Path) -> None:
    book = workbook(
        [("topic", *QA), ("Refunds", "a", "A."), (None, "b", "B."), ("Fees", "c", "C.")]
    )
    book.worksheets[0].merge_cells("A2:A3")
    documents = read(tmp_path / "a.xlsx", packed(book)).documents
    assert {document.text: document.metadata["topic"] for document in documents} == {
        "A.": "Refunds",
        "B.": "Refunds",
        "C.": "Fees",
    }


@pytest.mark.timeout(120)
def test_a_sheet_whose_rows_reach_the_last_column(tmp_path: Path) -> None:
    rows = "".join(
        f'<row r="{n}"><c r="A{n}" t="inlineStr"><is><t>q{n}</t></is></c><c r="B{n}" '
        f't="inlineStr"><is><t>Answer {n}</t></is></c><c r="XFD{n}"><v>1</v></c></row>'
        for n in range(2, 50_001)
    )
    head = (
        '<row r="1"><c r="A1" t="str"><v>question</v></c><c r="B1" t="str"><v>answer</v></c></row>'
    )
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(packed(workbook([QA])))) as made,
        zipfile.ZipFile(out, "w") as new,
    ):
        for member in made.infolist():
            data = made.read(member)
            if member.filename == "xl/worksheets/sheet1.xml":
                text = data.decode()
                begin, end = text.index("<sheetData>") + 11, text.index("</sheetData>")
                data = (text[:begin] + head + rows + text[end:]).encode()
            new.writestr(member, data)
    result = read(tmp_path / "a.xlsx", out.getvalue())
    assert len(result.documents) == 49_999
    assert said(result) == ["49,999 rows with cells under no column (rows 2-50000)"]


# JSON


def test_json_values_with_an_inner_structure(tmp_path: Path) -> None:
    lines = [
        {"question": "a", "answer": {"text": "hidden"}},
        {"question": "b", "answer": "B.", "tags": ["x", "y"], "more": {"k": 1}},
        {"question": "c", "answer": ["One.", "Two."]},
    ]
    result = read(tmp_path / "a.jsonl", "\n\n".join(map(json.dumps, lines)))
    found = {document.text: document.metadata.get("tags") for document in result.documents}
    assert found == {"B.": ["x", "y"], "One.\n\nTwo.": None}
    assert said(result) == [
        '1 object under "answer" (line 1)',
        '1 object under "more" (line 3)',
        "1 row without an answer (row 1)",
    ]


def test_passages_with_lists_objects_and_no_ids(tmp_path: Path) -> None:
    lines = [
        {"_id": None, "text": ["First.", "Second."]},
        {"_id": None, "text": "Third."},
        {"_id": "x", "text": {"en": "hidden"}},
    ]
    result = read(tmp_path / "a.jsonl", "\n".join(map(json.dumps, lines)))
    assert sorted(document.text for document in result.documents) == ["First.\n\nSecond.", "Third."]
    assert said(result) == [
        '1 object under "text" (line 3)',
        "1 passage without text (line 3)",
    ]


def test_metadata_of_json_stand_beside_the_other_keys(tmp_path: Path) -> None:
    lines = [
        {"text": "First.", "metadata": {"company": "Acme", "text": "other", "deep": {"a": 1}}},
        {"text": "Second.", "metadata": "none", "Company": "Beta", "company": "Gamma"},
    ]
    result = read(tmp_path / "a.jsonl", "\n".join(map(json.dumps, lines)))
    first, second = (
        {key: one.metadata.get(key) for key in ("company", "text_", "metadata")}
        for one in sorted(result.documents, key=lambda one: one.text)
    )
    assert first == {"company": "Acme", "text_": "other", "metadata": None}
    assert second == {"company": "Beta", "text_": None, "metadata": "none"}
    assert said(result) == [
        '1 object under "deep" (line 1)',
        '1 value under another "company" (line 2)',
    ]
    # What metadata hold decides nothing of what the file is.
    inner = {"question": "q", "answer": "a", "document": "d", "evidence": "e", "_id": 7}
    result = read(tmp_path / "b.jsonl", json.dumps({"text": "Third.", "metadata": inner}))
    (document,) = result.documents
    assert document.text == "Third."
    assert {key: document.metadata.get(key) for key in ("question", "_id_")} == {
        "question": "q",
        "_id_": 7,
    }


def test_what_stands_among_and_around_an_array_is_named(tmp_path: Path) -> None:
    rows = ["note", {"question": "a", "answer": "A."}, 7, {"question": "b", "answer": "B."}]
    data = {"updated": "2024-03-05", "faqs": rows, "tags": ["x"]}
    result = read(tmp_path / "faq.json", json.dumps(data))
    assert sorted(document.text for document in result.documents) == ["A.", "B."]
    assert said(result) == [
        '2 keys beside "faqs" (updated, tags)',
        "2 elements that are no object (elements 1, 3)",
    ]


def test_numbers_and_truth_values_of_json_keep_their_types(tmp_path: Path) -> None:
    row = (
        '{"question": "a", "answer": 1.10, "ok": true, "price": 1.10, "score": 3e-1, "n": 0, '
        '"long": 0.12345678901234567891, "versions": [1.10, true], "none": NaN}'
    )
    passage = row.replace('"question": "a", "answer"', '"text"')
    for name, text in (("a.jsonl", row), ("b.jsonl", passage)):
        (document,) = read(tmp_path / name, text).documents
        assert document.text == "1.10"
        own = {key: document.metadata.get(key) for key in json.loads(row)}
        assert own == {
            "question": None,
            "answer": None,
            "ok": True,
            "price": 1.1,
            "score": 0.3,
            "n": 0,
            "long": "0.12345678901234567891",
            "versions": ["1.10", "true"],
            "none": None,
        }
        assert document.metadata["long__number"] == 0.12345678901234568


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (".30000000000000004", 0.30000000000000004),
        ("1e-7", 1e-7),
        ("-2.5E+3", -2500.0),
        ("12345678901234567890", 12345678901234567890.0),
        ("1e999", None),
        ("1,5", None),
        ("e5", None),
        (".", None),
    ],
)
def test_texts_that_are_numbers_have_their_values_beside_them(
    tmp_path: Path, text: str, number: float | None
) -> None:
    table = f"question\tanswer\tscore\na\tA.\t{text}\n"
    (document,) = read(tmp_path / "a.tsv", table).documents
    assert (document.metadata["score"], document.metadata.get("score__number")) == (text, number)


def test_what_is_one_document_has_the_values_of_all(tmp_path: Path) -> None:
    rows = [
        {"text": "Yes.", "company": "Beta", "tags": ["x"], "n": 1, "date": "2024-03-05"},
        {"text": "Yes.", "company": "Gamma", "tags": ["y", "x"], "n": 1, "date": "2023-03-05"},
        {"text": "Yes.", "more": True},
    ]
    answers = [{"question": "q", "answer": row.pop("text"), **row} for row in map(dict, rows)]
    for name, lines in (("a.jsonl", rows), ("b.jsonl", answers)):
        (document,) = read(tmp_path / name, "\n".join(map(json.dumps, lines))).documents
        own = {key: document.metadata.get(key) for key in (*rows[0], "more") if key != "text"}
        assert own == {
            "company": ["Beta", "Gamma"],
            "tags": ["x", "y"],
            "n": 1,
            "date": "2024-03-05",
            "more": True,
        }


def test_of_very_many_values_of_one_answer_the_first_are_kept(tmp_path: Path) -> None:
    lines = "".join(f"q{n},Done.,{n},x\n" for n in range(150))
    result = read(tmp_path / "a.csv", f"question,answer,ticket,state\n{lines}")
    (document,) = result.documents
    assert document.metadata["ticket"] == [str(n) for n in range(100)]
    assert document.metadata["state"] == "x"
    assert said(result) == ["50 values after the first 100 of one document (ticket)"]


@pytest.mark.parametrize(
    "data",
    [
        [{"question": "a", "answer": "A."}, {"question": "b", "answer": "B."}],
        {
            "updated": "2024-03-05",
            "faqs": [{"질문": "a", "답변": "A."}, {"질문": "b", "답변": "B."}],
        },
        [{"text": "A."}, {"text": "B."}],
    ],
)
def test_an_array_of_objects_is_read(tmp_path: Path, data: object) -> None:
    result = read(tmp_path / "faq.json", json.dumps(data))
    assert sorted(document.text for document in result.documents) == ["A.", "B."]


def test_other_json_is_named_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"name": "x", "files": [{"a": 1}]}', "utf-8")
    (tmp_path / "a.md").write_text("text", "utf-8")
    result = read_documents([tmp_path])
    assert result.skipped == [tmp_path / "package.json"]
    assert why_skipped(result.skipped[0]).startswith("is JSON, but no array of objects with")


# HTML


def test_what_of_a_page_is_no_content_is_counted(tmp_path: Path) -> None:
    page = """<header>Shop</header><nav>Home</nav><main><nav>Contents: fees</nav>
<p>Plan: <select><option>Basic<option selected>Pro<option>Max</select>, paid by <select>
<option>card<option>bank</select>.</p>
<p>See <img src=a.png><img src=b.png alt=logo><img src=c.png alt="the order flow">
<img src=d.png alt=""><img src=e.png width=1 height=1>
<noscript>Turn scripts on.</noscript><noscript><img src=x></noscript>
<svg><title>icon</title></svg><svg><text>10 %</text></svg>
<iframe src=map></iframe><iframe src=x width=0></iframe><video src=v></video>
<p>within <del>30</del> 14 days</p></main><aside></aside>
<footer>Open from 9 to 5</footer><script>let x</script>"""
    result = read(tmp_path / "a.html", page)
    assert result.documents[0].text == (
        "Contents: fees\n\nPlan: Pro, paid by .\n\nSee the order flow\n\nwithin 14 days"
    )
    assert said(result) == [
        "3 parts around the main content (nav, header, footer)",
        "1 text for browsers without scripts",
        "1 drawing with text",
        "1 frame with another page",
        "1 recording",
        "1 list of choices, none of them chosen",
        "2 pictures without a description",
        "1 passage struck out",
    ]


def test_what_of_a_mail_in_html_is_no_content_is_counted(tmp_path: Path) -> None:
    mail = "Subject: x\nContent-Type: text/html\n\n<p>Paid.</p><img src=stamp.png>"
    assert said(read(tmp_path / "a.eml", mail)) == ["1 picture without a description"]
