"""Labelled questions in and out of files, and the pairs made of them."""

import csv
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rag_app.chunks import build_nodes
from rag_app.errors import PairsError, StorageError
from rag_app.pairs import (
    LabelledQuestion,
    Pair,
    build_questions,
    judgements_of,
    make_pair,
    match_questions,
    question_key,
    read_corpus,
    read_questions,
    training_qrels,
    write_pairs,
)
from rag_app.pairs.inputs import as_file

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

SHIPPING = 'Standard delivery costs "$5".\nIt is free from $75, said Ann, Bob & Co.'
LOCK = "도어락 배터리는 네 개가 필요합니다.\n\n배터리가 다 되면 9V 건전지를 밖에서 대세요."


def chunked(documents: dict[str, str]) -> "list[TextNode]":
    """One chunk for each paragraph."""
    from llama_index.core.schema import Document

    nodes: list[TextNode] = []
    for document_id, text in documents.items():
        spans, start = [], 0
        for paragraph in text.split("\n\n"):
            spans.append((start, start + len(paragraph)))
            start += len(paragraph) + 2
        document = Document(id_=document_id, text=text, metadata={"title": "제목"})
        nodes += build_nodes(document, text, spans)
    return nodes


CHUNKS = chunked({"help/shipping.md": SHIPPING, "help/lock.md": LOCK})
FIRST, SECOND = LOCK.index("\n\n"), LOCK.index("배터리가 다")
SHOCK = LOCK.index("9V")
PAIRS = [
    make_pair('how much is "delivery"?\nand when free', "help/shipping.md", None, None, "human"),
    make_pair("배터리 몇 개 들어가요?", "help/lock.md", 0, FIRST, "gemma-3-270m/v1"),
    make_pair("문 앞인데, 방전됐어요", "help/lock.md", SHOCK, SHOCK + 6, "human"),
    make_pair("도어락 방전?", "help/lock.md", None, None, "human"),
]


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def lines(*rows: object) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def test_a_pair_s_id_is_its_content() -> None:
    pair = make_pair("q", "d", 1, 3, "human")
    assert pair == Pair(pair.id, "q", "d", 1, 3, "human")
    assert len(pair.id) == 16
    assert make_pair("q", "d", 1, 3, "gemma").id == pair.id
    others = [("Q", "d", 1, 3), ("q", "e", 1, 3), ("q", "d", 1, 4), ("q", "d", None, None)]
    assert len({pair.id, *(make_pair(*other, "human").id for other in others)}) == 5


@pytest.mark.parametrize("span", [(1, None), (None, 1), (2, 2), (-1, 2)])
def test_a_pair_has_a_whole_span_or_none(span: tuple[int | None, int | None]) -> None:
    with pytest.raises(ValueError, match="span"):
        make_pair("q", "d", *span, "human")


def test_questions_are_the_same_but_for_case_width_blanks_and_closing_marks() -> None:
    same = ["Is it FREE?", "is it  free", "Ｉｓ it free ??", "is it\nfree."]
    assert {question_key(question) for question in same} == {"is it free"}
    assert question_key("C#?") != question_key("C?")
    assert question_key("???") == "???"


@pytest.mark.parametrize(("suffix", "mark"), [(".csv", ","), (".csv", ";"), (".tsv", "\t")])
def test_reads_tables(tmp_path: Path, suffix: str, mark: str) -> None:
    table = f'Question{mark}answer\n"Where, when?"{mark}"Here.\nNow."\n{mark}nobody asked\n'
    assert read_questions(write(tmp_path / f"faq{suffix}", table)) == [
        LabelledQuestion("Where, when?", passage="Here.\nNow.")
    ]


def test_reads_tables_in_cp949_with_columns_named_otherwise(tmp_path: Path) -> None:
    table = write(
        tmp_path / "faq.csv", "문의,답,분류\n배송 언제 와요?,이틀 걸립니다.,배송\n".encode("cp949")
    )
    read = read_questions(table, question_column="문의", answer_column="답")
    assert read == [LabelledQuestion("배송 언제 와요?", passage="이틀 걸립니다.")]


def test_reads_workbooks(tmp_path: Path) -> None:
    from openpyxl import Workbook

    workbook = Workbook()
    sheet = workbook.active
    assert sheet is not None
    for row in (["question", "answer"], ["얼마예요?", "삼만 원입니다."]):
        sheet.append(row)
    workbook.save(tmp_path / "faq.xlsx")
    read = read_questions(tmp_path / "faq.xlsx")
    assert read == [LabelledQuestion("얼마예요?", passage="삼만 원입니다.")]


def test_reads_json_lines_of_questions_and_answers(tmp_path: Path) -> None:
    path = write(tmp_path / "faq.jsonl", lines({"question": "왜?", "answer": "그래서요."}))
    assert read_questions(path) == [LabelledQuestion("왜?", passage="그래서요.")]


def test_reads_json_lines_that_name_documents(tmp_path: Path) -> None:
    rows = [
        {"question": "a?", "document": "x.md", "evidence": "E\u2028F", "start": 3, "end": 6},
        {"question": "b?", "document": "x.md", "evidence": None, "depends_on": "date"},
        {"question": "c?", "document": "x.md", "origin": "headings/v1"},
    ]
    path = write(tmp_path / "q.jsonl", "\ufeff" + lines(*rows) + "\n")
    assert read_questions(path) == [
        LabelledQuestion("a?", document="x.md", evidence="E\nF", start=3, end=6),
        LabelledQuestion("b?", document="x.md"),
        LabelledQuestion("c?", document="x.md", origin="headings/v1"),
    ]


def test_reads_embedding_qa_datasets(tmp_path: Path) -> None:
    data = {
        "queries": {"q1": "first?", "q2": "둘째?"},
        "corpus": {"n1": "one", "n2": "둘", "n3": "three"},
        "relevant_docs": {"q1": ["n1", "n2"], "q2": ["n2"]},
        "mode": "text",
    }
    assert read_questions(write(tmp_path / "qa.json", json.dumps(data))) == [
        LabelledQuestion("first?", passage="one", document="n1"),
        LabelledQuestion("first?", passage="둘", document="n2"),
        LabelledQuestion("둘째?", passage="둘", document="n2"),
    ]


def beir(folder: Path, qrels: str = "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\n") -> Path:
    passages = [
        {"_id": "d1", "title": "T", "text": "배송은 이틀"},
        {"_id": "d2", "title": "only a title", "text": ""},
        {"_id": "d3", "text": None},
    ]
    write(folder / "corpus.jsonl", lines(*passages))
    write(
        folder / "queries.jsonl", lines({"_id": "q1", "text": "며칠?"}, {"_id": "q2", "text": ""})
    )
    write(folder / "qrels" / "test.tsv", qrels)
    return folder


def test_reads_beir_folders(tmp_path: Path) -> None:
    folder = beir(tmp_path / "beir")
    first = LabelledQuestion("며칠?", passage="배송은 이틀", document="d1")
    assert read_questions(folder) == [first]
    write(folder / "qrels" / "dev.tsv", "query-id\tcorpus-id\tscore\r\nq1\td2\t1\r\n")
    second = LabelledQuestion("며칠?", passage="only a title", document="d2")
    # Published figures are those of test.
    assert read_questions(folder) == [first]
    assert read_questions(folder / "qrels" / "dev.tsv") == [second]
    assert judgements_of(folder) == (
        f"{folder}/qrels/test.tsv: 1 judgements; 1 of them are graded above 1 and count as 1"
    )
    assert judgements_of(folder / "qrels" / "dev.tsv") == f"{folder}/qrels/dev.tsv: 1 judgements"
    assert read_corpus(folder / "qrels" / "dev.tsv") == read_corpus(folder) is not None
    assert judgements_of(write(tmp_path / "faq.csv", "question,answer\na,b\n")) is None
    (folder / "qrels" / "test.tsv").rename(folder / "qrels" / "train.tsv")
    assert read_questions(folder) == [second]
    assert training_qrels(folder) == folder / "qrels" / "train.tsv"
    (folder / "qrels" / "dev.tsv").rename(folder / "qrels" / "b.tsv")
    (folder / "qrels" / "train.tsv").rename(folder / "qrels" / "a.tsv")
    assert read_questions(folder) == [first, second]
    assert training_qrels(folder) == folder


QA = {"queries": {"q": "?"}, "corpus": {"n": "t"}, "relevant_docs": {"q": ["n"]}}
ROW = {"question": "q", "document": "d"}
HEADER = "query-id\tcorpus-id\tscore\n"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("q.parquet", "x", ["'.parquet'", ".csv, .tsv, .xlsx, .jsonl, .json, folder"]),
        ("q.csv", "", ["q.csv is empty"]),
        ("q.csv", "question,answer\n", ["no labelled question"]),
        ("q.csv", "질의,답\na,b\n", ["질의, 답", "--question-column"]),
        ("q.csv", b"question,answer\n\xff\xfe\x81,x\n", ["q.csv", "UTF-8", "iconv"]),
        ("q.jsonl", "", ["no labelled question"]),
        ("q.jsonl", lines(ROW) + "\n{'a'\n", ["q.jsonl, line 3, column 2", "not JSON"]),
        ("q.jsonl", lines(ROW, [1]), ["line 2", "not a JSON object"]),
        ("q.jsonl", lines(ROW) + "[" * 100_000, ["q.jsonl, line 2", "nested too deeply"]),
        (
            "q.jsonl",
            lines(ROW) + '{"question": ' + "1" * 5000 + "}",
            ["q.jsonl, line 2 cannot be read", "4300 digits", "mend or remove it"],
        ),
        ("q.jsonl", lines(ROW, {"question": "q", "text": "t"}), ["line 2", "'document'", "'text'"]),
        ("q.jsonl", lines({**ROW, "question": " "}), ["line 1", "'question' must be text"]),
        ("q.jsonl", lines({**ROW, "evidence": 7}), ["line 1", "'evidence' must be text, not 7"]),
        ("q.jsonl", lines({**ROW, "start": 4}), ["line 1", "start 4 and end None"]),
        ("q.jsonl", lines({**ROW, "start": 4, "end": 4}), ["start 4 and end 4"]),
        ("q.jsonl", lines({**ROW, "start": False, "end": True}), ["start False and end True"]),
        (
            "q.jsonl",
            lines({"anchor": "q", "positive": "p"}),
            ["anchor, positive", "--answer-column"],
        ),
        ("q.json", '{\n"queries"', ["q.json, line 2", "not JSON"]),
        ("q.json", "[" * 100_000, ["q.json", "nested"]),
        ("q.json", "[1]", ["not an EmbeddingQAFinetuneDataset", "found list"]),
        ("q.json", json.dumps({"data": []}), ["found data", "relevant_docs"]),
        ("q.json", json.dumps({**QA, "corpus": {}}), ["no text of the passage 'n'"]),
        ("q.json", json.dumps({**QA, "queries": {}}), ["no text of the query 'q'"]),
        ("q.json", json.dumps({**QA, "relevant_docs": {"q": 7}}), ["the passage 7"]),
        ("q.json", json.dumps({**QA, "relevant_docs": {}}), ["no labelled question"]),
    ],
)
def test_what_cannot_be_read_is_said_with_the_mend(
    tmp_path: Path, name: str, content: str | bytes, words: Sequence[str]
) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(PairsError) as caught:
        read_questions(path)
    message = str(caught.value)
    assert message.count(str(path)) == 1
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("qrels", "words"),
    [
        ("q1\td1\t1\n", ["test.tsv", "'q1\\td1\\t1'", "header query-id, corpus-id, score"]),
        (HEADER + "q1\td1\n", ["test.tsv, line 2", "expected a query's id"]),
        (HEADER + "q1\td1\thigh\n", ["test.tsv, line 2", "high"]),
        (HEADER + "q9\td1\t1\n", ["no text of the query 'q9'"]),
        (HEADER + "q1\td9\t1\n", ["no text of the passage 'd9'"]),
        (HEADER + "q1\td3\t1\n", ["corpus.jsonl, line 3", "'text' must be text, not None"]),
        (HEADER + "q1\td1\t0\n", ["no labelled question"]),
    ],
)
def test_broken_beir_folders(tmp_path: Path, qrels: str, words: Sequence[str]) -> None:
    with pytest.raises(PairsError) as caught:
        read_questions(beir(tmp_path / "beir", qrels))
    assert all(word in str(caught.value) for word in words), caught.value


def test_a_folder_of_something_else_and_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(PairsError, match=r"not a BEIR folder: expected corpus.jsonl"):
        read_questions(tmp_path)
    with pytest.raises(PairsError, match="does not exist"):
        read_questions(tmp_path / "q.csv")
    write(beir(tmp_path / "beir") / "corpus.jsonl", "배송".encode("cp949"))
    with pytest.raises(PairsError, match=r"corpus\.jsonl is not UTF-8"):
        read_questions(tmp_path / "beir")


def read_back(path: Path) -> list[Pair]:
    matching = match_questions(read_questions(path), CHUNKS)
    assert matching.unmatched == []
    return matching.pairs


def test_json_lines_lose_nothing(tmp_path: Path) -> None:
    write_pairs(tmp_path / "new" / "q.jsonl", PAIRS, CHUNKS)
    assert read_back(tmp_path / "new" / "q.jsonl") == PAIRS
    twice = [
        make_pair("q?", "help/lock.md", 0, 3, "human"),
        make_pair("q?", "help/lock.md", 4, 8, "headings/v1"),
        make_pair("q?", "help/shipping.md", 0, len(SHIPPING), "headings/v1"),
    ]
    write_pairs(tmp_path / "twice.jsonl", twice, CHUNKS)
    assert read_back(tmp_path / "twice.jsonl") == twice
    row = json.loads((tmp_path / "new" / "q.jsonl").read_text("utf-8").splitlines()[2])
    assert row["evidence"] == "9V 건전지"


@pytest.mark.parametrize("name", ["q.csv", "q.json", "beir"])
def test_other_formats_keep_questions_and_the_chunks_that_answer_them(
    tmp_path: Path, name: str
) -> None:
    write_pairs(tmp_path / name, PAIRS, CHUNKS)
    back = read_back(tmp_path / name)
    assert build_questions(back, CHUNKS, {}) == build_questions(PAIRS, CHUNKS, {})
    # Whole documents come back whole, whichever chunks stood for them.
    assert [pair for pair in back if pair.start is None] == [PAIRS[0], PAIRS[3]]


def test_csv_holds_documents_and_chunks_and_opens_in_excel(tmp_path: Path) -> None:
    write_pairs(tmp_path / "q.csv", PAIRS, CHUNKS)
    assert (tmp_path / "q.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    with (tmp_path / "q.csv").open(encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["question", "answer"]
    assert [answer for _, answer in rows] == [
        SHIPPING,
        LOCK[:FIRST],
        LOCK[SECOND:],
        LOCK.replace("\n\n", "  "),
    ]


@pytest.mark.filterwarnings("ignore")
def test_llama_index_reads_what_we_write(tmp_path: Path) -> None:
    from llama_index.finetuning import EmbeddingQAFinetuneDataset

    write_pairs(tmp_path / "q.json", PAIRS, CHUNKS)
    dataset = EmbeddingQAFinetuneDataset.from_json(str(tmp_path / "q.json"))
    assert dataset.mode == "text"
    assert dataset.corpus == {chunk.node_id: chunk.text for chunk in CHUNKS}
    shipping, battery, empty = (chunk.node_id for chunk in CHUNKS)
    golds = [[shipping], [battery], [empty], [battery, empty]]
    assert dataset.query_docid_pairs == [
        (pair.question, gold) for pair, gold in zip(PAIRS, golds, strict=True)
    ]
    # It is opened in the machine's own encoding, whichever that is.
    assert (tmp_path / "q.json").read_bytes().isascii()


def test_beir_folders_are_as_beir_s_tools_expect(tmp_path: Path) -> None:
    write_pairs(tmp_path / "beir", [*PAIRS, PAIRS[0]], CHUNKS)

    def rows(name: str) -> list[dict[str, Any]]:
        text = (tmp_path / "beir" / name).read_text("utf-8")
        return [json.loads(line) for line in text.splitlines()]

    assert rows("corpus.jsonl")[1] == {
        "_id": CHUNKS[1].node_id,
        "title": "제목",
        "text": "도어락 배터리는 네 개가 필요합니다.",
    }
    queries = rows("queries.jsonl")
    assert [query["text"] for query in queries] == [pair.question for pair in PAIRS]
    header, *judged = (tmp_path / "beir" / "qrels" / "test.tsv").read_text().splitlines()
    assert header.split("\t") == ["query-id", "corpus-id", "score"]
    last = queries[3]["_id"]
    assert judged[3:] == [f"{last}\t{chunk.node_id}\t1" for chunk in CHUNKS[1:]]


@pytest.mark.parametrize("name", ["q.jsonl", "q.csv", "q.json", "beir"])
def test_an_export_replaces_the_last_one_wholly_or_not_at_all(tmp_path: Path, name: str) -> None:
    stranger = make_pair("q?", "gone.md", None, None, "human")
    write_pairs(tmp_path / name, PAIRS[:1], CHUNKS)
    before = read_back(tmp_path / name)
    with pytest.raises(PairsError, match=r"no document 'gone\.md'.*rag-app ingest"):
        write_pairs(tmp_path / name, [stranger], CHUNKS)
    assert read_back(tmp_path / name) == before
    write_pairs(tmp_path / name, PAIRS[3:], CHUNKS)
    assert [pair.question for pair in read_back(tmp_path / name)] == ["도어락 방전?"]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_who_reads_the_last_export_goes_on_reading_it(tmp_path: Path) -> None:
    write_pairs(tmp_path / "q.jsonl", PAIRS, CHUNKS)
    before = (tmp_path / "q.jsonl").read_text("utf-8")
    with (tmp_path / "q.jsonl").open(encoding="utf-8") as file:
        write_pairs(tmp_path / "q.jsonl", PAIRS[:1], CHUNKS)
        assert file.read() == before


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path / "mine" / "thesis.md", "ten years of work")
    with pytest.raises(PairsError, match=r"holds thesis\.md"):
        write_pairs(tmp_path / "mine", PAIRS, CHUNKS)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.md"]
    write(tmp_path / "notes", "x")
    with pytest.raises(PairsError, match="is a file"):
        write_pairs(tmp_path / "notes", PAIRS, CHUNKS)
    with pytest.raises(PairsError, match=r"'\.parquet'.*\.jsonl, \.csv, \.json, folder"):
        write_pairs(tmp_path / "q.parquet", PAIRS, CHUNKS)
    with pytest.raises(StorageError, match=r"q\.jsonl cannot be written"):
        write_pairs(tmp_path / "notes" / "q.jsonl", PAIRS, CHUNKS)


def test_nothing_of_a_labelled_question_is_lost_on_its_way_in(tmp_path: Path) -> None:
    texts: dict[str, Any] = {
        "passage": "From nine to six.",
        "document": "hours.md",
        "evidence": "nine",
    }
    spans: list[dict[str, Any]] = [{}, {"start": 0, "end": 16}]
    forms = [
        LabelledQuestion(f"when {number}?", **said, **span, origin=origin)
        for number, (kept, span, origin) in enumerate(
            itertools.product(powerset(texts), spans, ("human", "gemma/v1"))
        )
        if (said := {name: texts[name] for name in kept})
    ]
    for one in forms:
        if one.passage or one.document:
            assert read_questions(as_file([one], tmp_path)) == [one]
        else:
            with pytest.raises(PairsError, match="or neither; hand them over apart"):
                as_file([one], tmp_path)
    named = [one for one in forms if one.document]
    with_passage = [one for one in forms if one.passage]
    assert read_questions(as_file(named, tmp_path)) == named
    assert read_questions(as_file(with_passage, tmp_path)) == with_passage


def test_questions_of_a_dataset_take_their_passages_along(tmp_path: Path) -> None:
    folder = beir(tmp_path)
    asked = read_questions(folder)[:2]
    path = as_file(asked, tmp_path)
    assert read_questions(path) == asked
    corpus = read_corpus(path)
    assert corpus is not None
    assert {document.text for document in corpus} == {one.passage for one in asked}


def powerset(names: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Every choice of some of them."""
    names = list(names)
    for count in range(len(names) + 1):
        yield from itertools.combinations(names, count)
