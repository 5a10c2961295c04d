"""A log of queries without answers: what is read of it, and how it shows how people ask."""

from pathlib import Path

import pytest
from conftest import ROOT
from fake_endpoint import FakeEndpoint, completion
from fakes import WordModel
from test_questions import FREIGHT, HOURS, REFUND, make_node, make_passages
from tiny import make_tiny_model
from typer.testing import CliRunner

from rag_app.cli.app import build_app
from rag_app.errors import PairsError
from rag_app.questions.query_log import LONGEST, log_examples, read_query_log
from rag_app.questions.rarity import Rarity

QUERIES = ["refund when", "freight 30 kg", "opening hours sunday", "환불 계좌", "driver calls?"]


def log(folder: Path, text: str | bytes, name: str = "log.txt") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_queries_are_read_without_what_is_none(tmp_path: Path) -> None:
    junk = ["", "  ", "https://shop.example/a?b", "www.shop.example", "x" * 10_000, "12345", "?!"]
    path = log(tmp_path, "\n".join([*junk, *QUERIES, " Refund   WHEN "]))
    assert read_query_log(path) == QUERIES


def test_a_table_has_them_in_a_column(tmp_path: Path) -> None:
    rows = "".join(f'7,"{query}"\n' for query in QUERIES)
    assert read_query_log(log(tmp_path, f"n,query\n{rows}", "log.csv")) == QUERIES


def test_a_table_as_korean_excel_writes_it(tmp_path: Path) -> None:
    asked = [
        "환불은 며칠 걸려요",
        "배송비는 얼마인가요",
        "비밀번호를 잊었어요",
        "주문을 취소하고 싶어요",
        "영수증은 어디서 받나요",
    ]
    table = "번호,Query\n" + "".join(f"1,{one}\n" for one in asked)
    assert read_query_log(log(tmp_path, table.encode("cp949"), "log.csv")) == asked


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("log.txt", b"", "log.txt has 0 usable queries; give at least 5"),
        (
            "log.txt",
            b"\n\nhttp://a.b\nhow much\n",
            r"1 usable query \(left out: 2 empty, 1 with an address\)",
        ),
        ("log.txt", b"a" * 10_000, f"1 longer than {LONGEST} characters"),
        ("log.txt", b"a b\n" * 9, r"1 usable query \(left out: 8 repeated\)"),
        ("log.txt", b"\x89PNG\0\0", "log.txt is neither UTF-8 .*; give a text file"),
        ("log.txt", b"\xff\xfe\xfa", "is marked utf-16-le but holds something else"),
        ("log.csv", b"question,n\nhow much,1\n", "has no column 'query', only question, n"),
        ("log.csv", b"", "has no column 'query', only none"),
        ("log.csv", b'query\n"never closed\n', "is no table"),
    ],
)
def test_junk_is_told_of(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    with pytest.raises(PairsError, match=said):
        read_query_log(log(tmp_path, content, name))


@pytest.mark.parametrize("name", ["gone.txt", "."])
def test_what_is_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(PairsError, match=r"cannot be read: .*; give a text file"):
        read_query_log(tmp_path / name)


def test_each_passage_shows_the_query_that_is_nearest_to_it() -> None:
    model = WordModel()
    nodes = [make_node(REFUND), make_node(FREIGHT, document="b.md"), make_node(HOURS)]
    queries = ["refunds", "refunds reach your account", "parcels by freight", "zebra"]
    examples = log_examples(
        queries, make_passages(nodes, model), model, Rarity([REFUND, FREIGHT, HOURS])
    )
    shown = {example.question: example.passage for example in examples["en"]}
    assert shown["refunds reach your account"] == REFUND
    assert shown["parcels by freight"] == FREIGHT
    assert "refunds" not in shown


def test_queries_about_other_things_are_left_out() -> None:
    model = WordModel()
    texts = [f"{word} is in stock {word}" for word in (f"ware{n}" for n in range(60))]
    nodes = [make_node(text, document=f"{n}.md") for n, text in enumerate(texts)]
    passages, rarity = make_passages(nodes, model), Rarity(texts)
    # "is in stock" is all that two of these passages have in common.
    examples = log_examples(["zebra stripes", "ware7 ware7"], passages, model, rarity)
    assert [one.question for each in examples.values() for one in each] == ["ware7 ware7"]
    with pytest.raises(PairsError, match=r"no query of 1 is about anything .*'zebra"):
        log_examples(["zebra stripes"], passages, model, rarity)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_tiny_model(Path("tiny"), words=REFUND.split())
    Path("docs").mkdir()
    Path("docs/refunds.md").write_text(REFUND, "utf-8")
    log(tmp_path, "\n".join(QUERIES))
    log(tmp_path, "one\ntwo", "short.txt")

    def run(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(build_app(), [*arguments, "--quiet"])
        return done.exit_code, done.stderr

    made = run("ingest", "docs", "--model", "tiny", "--chunk-size", "48", "--chunk-overlap", "8")
    assert made[0] == 0
    code, said = run("questions", "--query-log", "short.txt")
    assert (code, said.count("\n")) == (2, said.strip().count("\n") + 1)
    assert "short.txt has 2 usable queries" in said
    assert run("questions", "--query-log", "log.txt", "--llm", "none")[0] == 2
    with FakeEndpoint(lambda _: completion("when do refunds reach my account")) as endpoint:
        there = ("--llm-base-url", endpoint.url, "--llm-model", "gemma")
        assert run("questions", "--query-log", "log.txt", "--per-chunk", "1", *there) == (0, "")
    assert any(query in endpoint.requests[0].prompt for query in QUERIES)


def test_the_samples_queries_are_a_log(tmp_path: Path) -> None:
    lines = (ROOT / "data/en/faq.csv").read_text("utf-8").splitlines()
    assert len(read_query_log(log(tmp_path, "\n".join(lines)))) > 5
