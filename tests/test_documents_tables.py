"""Tables of questions and answers, and corpora of retrieval datasets."""

import csv
import hashlib
import io
import json
import struct
import zipfile
from datetime import datetime
from pathlib import Path

import pytest

from rag_app.documents import Row, read_documents, read_rows
from rag_app.documents.cell_formats import formatted
from rag_app.errors import DocumentError


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rows(path: Path) -> list[Row]:
    return read_rows(path, question_column="question", answer_column="answer")


def workbook(*sheets: list[list[object]]) -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for lines in sheets:
        sheet = book.create_sheet()
        for line in lines:
            sheet.append(line)
    data = io.BytesIO()
    book.save(data)
    return data.getvalue()


def test_an_answer_is_a_document_and_its_question_is_not_in_it(tmp_path: Path) -> None:
    write(
        tmp_path / "faq.csv",
        "Question,ANSWER,Source Name,date,Empty\nWhen?,In 7 days.,Help desk,1593108141.25,\n",
    )
    (document,) = read_documents([tmp_path / "faq.csv"]).documents
    digest = hashlib.sha256(b"In 7 days.").hexdigest()[:12]
    assert document.id_ == f"{tmp_path.name}/faq.csv#{digest}"
    assert document.text == "In 7 days."
    assert document.metadata == {
        "path": str(tmp_path / "faq.csv"),
        "kind": "faq",
        "language": "und",
        "date": "2020-06-25",
        "date_epoch": 1593043200,
        "source_name": "Help desk",
        "known_questions": '[{"text": "When?", "row": 2}]',
    }


def test_equal_answers_become_one_document(tmp_path: Path) -> None:
    write(
        tmp_path / "faq.csv",
        "question,answer,topic\na,Yes.,first\nb,No.,x\n,<p>Yes.</p>,second\nc,,x\nd, ,x\n",
    )
    documents = read_documents([tmp_path / "faq.csv"]).documents
    assert {document.text: document.metadata["topic"] for document in documents} == {
        "Yes.": ["first", "second"],
        "No.": "x",
    }
    assert [document.id_ for document in documents] == sorted(d.id_ for d in documents)


def test_read_rows_keeps_every_row_with_an_answer(tmp_path: Path) -> None:
    path = write(
        tmp_path / "faq.tsv",
        "question\tanswer\tTopic\nWhen?\tSoon.\ta\nAgain?\tSoon.\t\n\tAlone.\tb\nNone?\t\tc\n",
    )
    assert rows(path) == [
        Row("When?", "Soon.", {"topic": "a"}, 2),
        Row("Again?", "Soon.", {}, 3),
        Row("", "Alone.", {"topic": "b"}, 4),
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    lines = [["질문", "답변", "분류"], ["언제?", "7일; 또는, 8일\t안에", "환불"]]
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(lines)
    path = write(tmp_path / "faq.csv", text.getvalue().encode("cp949"))
    assert rows(path) == [Row("언제?", "7일; 또는, 8일\t안에", {"분류": "환불"}, 2)]


def test_columns_by_other_names(tmp_path: Path) -> None:
    path = write(tmp_path / "faq.csv", "Frage, Die Antwort\nWann?,Bald.\n")
    with pytest.raises(DocumentError) as caught:
        rows(path)
    assert str(caught.value) == (
        f"{path} has no columns question and answer, but frage, die_antwort; "
        "name yours with --question-column/--answer-column"
    )
    assert read_documents([path, write(tmp_path / "a.md", "x")]).failures[0].path == path
    named = read_rows(path, question_column="frage", answer_column="die antwort")
    assert named == [Row("Wann?", "Bald.", {}, 2)]
    result = read_documents([path], question_column="FRAGE", answer_column="Die Antwort")
    assert [document.text for document in result.documents] == ["Bald."]


def test_tags_are_stripped_and_comparisons_are_not(tmp_path: Path) -> None:
    answers = {
        "<p>Call <b>us</b>.</p><ul><li>by day</li><li>by night</li></ul>": (
            "Call us.\n\n- by day\n- by night"
        ),
        "line one<br/>line two\nline three": "line one\nline two\nline three",
        "Salt &amp; pepper&nbsp;too": "Salt & pepper too",
        "<!-- Word -->Text": "Text",
        "if a < b and c > d": "if a < b and c > d",
        "press <Enter>": "press <Enter>",
        "R&D costs": "R&D costs",
        "in <b>C</b> <![9 is odd": "in <b>C</b> <![9 is odd",
    }
    lines = [json.dumps({"question": "q", "answer": answer}) for answer in answers]
    path = write(tmp_path / "faq.jsonl", "\n".join(lines))
    assert [row.answer for row in rows(path)] == list(answers.values())


def test_quotes_and_delimiters_out_of_place_are_failures(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    write(docs / "unclosed.csv", 'question,answer\na,b\nc,"d\ne,f\n')
    write(docs / "unquoted.csv", "question,answer\na,yes, sure\n")
    write(docs / "answerless.csv", "question,answer\na,\n")
    write(docs / "header.csv", "question,answer\n")
    reasons = {failure.path.name: failure.reason for failure in read_documents([docs]).failures}
    assert (
        "stray or unclosed quotation mark in the row that begins on line 3"
        in (reasons["unclosed.csv"])
    )
    assert reasons["unquoted.csv"].startswith("has 3 cells in row 2 under 2 columns; put quot")
    assert reasons["answerless.csv"].startswith("has no row with an answer; ")
    assert reasons["header.csv"].startswith("has no row with an answer; ")


def test_a_tsv_file_without_quoting(tmp_path: Path) -> None:
    path = write(tmp_path / "faq.tsv", 'question\tanswer\n"Smart" lock?\t5" wide\nNext?\tYes.\n')
    assert [row.answer for row in rows(path)] == ['5" wide', "Yes."]


def test_a_long_cell_is_read_and_the_csv_limit_put_back(tmp_path: Path) -> None:
    path = write(tmp_path / "faq.csv", f"question,answer\na,{'long ' * 40_000}\n")
    limit = csv.field_size_limit(1_000)
    try:
        assert len(rows(path)[0].answer) == 40_000 * 5 - 1
        assert csv.field_size_limit() == 1_000
    finally:
        csv.field_size_limit(limit)


def test_a_workbook(tmp_path: Path) -> None:
    first: list[list[object]] = [
        ["질문", "답변", "date", "No."],
        ["언제?", "곧", datetime(2024, 3, 5), 7.0],
    ]
    second: list[list[object]] = [[None], ["question", "answer"], ["Why?", "So."], [None, None]]
    notes: list[list[object]] = [["just", "notes"]]
    path = write(tmp_path / "faq.xlsx", workbook(first, second, notes))
    assert rows(path) == [
        Row("언제?", "곧", {"date": "2024-03-05", "no.": "7"}, 2, "Sheet"),
        Row("Why?", "So.", {}, 3, "Sheet1"),
    ]
    with pytest.raises(DocumentError, match=r"no columns question and answer, but just, notes"):
        rows(write(tmp_path / "notes.xlsx", workbook(notes)))


def altered(data: bytes, old: bytes, new: bytes) -> bytes:
    """Change the XML of a workbook's sheets."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as read, zipfile.ZipFile(out, "w") as made:
        for member in read.infolist():
            made.writestr(member.filename, read.read(member).replace(old, new))
    return out.getvalue()


def test_workbooks_made_to_hang_or_break_a_reader(tmp_path: Path) -> None:
    good = workbook([["question", "answer"], ["a", "b"]])
    docs = tmp_path / "docs"
    write(docs / "rows.xlsx", altered(good, b'<row r="2"', b'<row r="900000000"'))
    write(docs / "column.xlsx", altered(good, b'r="B2"', b'r="ZZZZ2"'))
    write(docs / "cut.xlsx", good[:-300])
    bomb = bytearray(good)
    # The unpacked size of the first member, as the archive's directory states it.
    struct.pack_into("<I", bomb, bomb.index(b"PK\x01\x02") + 24, 3 * 1024**3)
    write(docs / "bomb.xlsx", bytes(bomb))
    reasons = {failure.path.name: failure.reason for failure in read_documents([docs]).failures}
    assert reasons["rows.xlsx"] == "has over 1,048,576 rows; split it into smaller files"
    assert reasons["column.xlsx"].startswith("cannot be parsed (ValueError: ")
    assert reasons["cut.xlsx"].startswith("is not an .xlsx workbook")
    assert reasons["bomb.xlsx"] == "unpacks to 3,072 MB; split it into smaller files"


def test_a_beir_folder_gives_its_corpus(tmp_path: Path) -> None:
    docs = tmp_path / "scifact"
    write(
        docs / "corpus.jsonl",
        '{"_id": "7", "title": "Locks", "text": "They\\u2028lock.", "metadata": {"year": 2020}}\n'
        '{"_id": "8", "text": "", "title": "Only a title"}\n\n{"text": "No id"}\n'
        '{"_id": "9", "text": " "}\n{"_id": "7", "text": "They\\nlock."}\n',
    )
    write(docs / "queries.jsonl", '{"_id": "q1", "text": "What locks?"}\n')
    write(docs / "qrels" / "test.tsv", "query-id\tcorpus-id\tscore\nq1\t7\t1\n")
    result = read_documents([docs])
    digest = hashlib.sha256(b"No id").hexdigest()[:12]
    assert {document.id_: document.text for document in result.documents} == {
        "scifact/corpus.jsonl#7": "They\nlock.",
        "scifact/corpus.jsonl#8": "Only a title",
        f"scifact/corpus.jsonl#{digest}": "No id",
    }
    first = result.documents[0].metadata
    assert (first["kind"], first["title"], first["year"]) == ("text", "Locks", 2020)
    assert "title" not in result.documents[2].metadata
    assert result.skipped == [docs / "qrels" / "test.tsv", docs / "queries.jsonl"]


def test_queries_without_a_corpus_beside_are_texts(tmp_path: Path) -> None:
    path = write(tmp_path / "queries.jsonl", '{"_id": "q1", "text": "What locks?"}\n')
    assert read_documents([path]).documents[0].text == "What locks?"


def test_one_id_for_two_texts_is_a_failure(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"_id": "1", "text": "a"}\n{"_id": "1", "text": "b"}\n')
    (failure,) = read_documents([path]).failures
    assert failure.reason == "has two texts with the id 1; give each its own"
    (failure,) = read_documents([write(tmp_path / "b.jsonl", '{"text": ""}')]).failures
    assert failure.reason.startswith("holds no text; ")


@pytest.mark.parametrize(
    "row",
    [
        {"question": "q", "document": "a.md", "evidence": "e"},
        {"question": "q", "document": "a.md", "evidence": "e", "answer": "x"},
        {"question": "q", "document": "a.md"},
    ],
)
def test_labelled_pairs_are_no_documents(tmp_path: Path, row: dict[str, str]) -> None:
    write(tmp_path / "docs" / "a.md", "text")
    path = write(tmp_path / "docs" / "pairs.jsonl", json.dumps(row))
    result = read_documents([tmp_path / "docs"])
    assert (result.skipped, result.failures) == ([path], [])


def test_a_column_named_document_does_not_make_labels_of_answers(tmp_path: Path) -> None:
    path = write(tmp_path / "faq.csv", "question,answer,document\nq,a,manual.pdf\n")
    assert read_documents([path]).documents[0].metadata["document"] == "manual.pdf"


def test_a_finetuning_dataset_gives_its_corpus(tmp_path: Path) -> None:
    dataset = {"queries": {"q": "?"}, "corpus": {"n1": "One", "n2": "Two"}, "relevant_docs": {}}
    path = write(tmp_path / "pairs.json", json.dumps(dataset))
    result = read_documents([path])
    assert {document.id_: document.text for document in result.documents} == {
        f"{tmp_path.name}/pairs.json#n1": "One",
        f"{tmp_path.name}/pairs.json#n2": "Two",
    }


def test_read_rows_of_no_table(tmp_path: Path) -> None:
    with pytest.raises(
        DocumentError, match=r"a\.md is no table; name a file of these kinds: \.csv"
    ):
        rows(write(tmp_path / "a.md", "text"))
    with pytest.raises(DocumentError, match=r"gone\.csv cannot be opened: No such file"):
        rows(tmp_path / "gone.csv")


def test_a_scraped_faq_that_nobody_here_wrote(shared_data: Path) -> None:
    path = shared_data / "jhu_covid_faq" / "scraped_v0.3.tsv"
    found = rows(path)
    result = read_documents([path])
    # 2,261 rows, 7 of them without an answer, 28 answers that came before.
    assert (len(found), len(result.documents)) == (2254, 2226)
    assert result.failures == []
    assert {row.answer for row in found} == {document.text for document in result.documents}
    assert not any("<p>" in row.answer or "&amp;" in row.answer for row in found)


@pytest.mark.parametrize(
    ("value", "code", "shown"),
    [
        # Scaled by thousands: the number itself, not its digits beside another unit.
        ("1500000", '#,##0,"천원"', "1500000"),
        ("1234567", '0.0,"K"', "1234567"),
        ("1500000", '#,##0,,"M"', "1500000"),
        # Several groups of digits.
        ("1012345678", "000-0000-0000", "010-1234-5678"),
        ("9001011234567", "000000-0000000", "900101-1234567"),
        ("2125551234", "(###) ###-####", "(212) 555-1234"),
        ("82101234", "##-####", "8210-1234"),
        ("1.5", "0-0", "1.5"),
        # Conditions choose the part.
        ("5551234", "[<=9999999]###-####;(###) ###-####", "555-1234"),
        ("2125551234", "[<=9999999]###-####;(###) ###-####", "(212) 555-1234"),
        ("1234.5", "#,##0.00", "1,234.50"),
    ],
)
def test_numbers_are_written_as_their_format_shows_them(value: str, code: str, shown: str) -> None:
    assert formatted(value, code) == shown
