"""The REPL as a person uses it: commands, what fits on a screen, history, Tab."""

import io
import json
import os
import pty
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT
from fake_endpoint import FakeEndpoint, completion
from fakes import WordModel
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from rich.cells import cell_len
from rich.console import Console
from test_cli import check_error, name_of, read_until, run_app, with_endpoint
from tiny import make_tiny_model

from rag_app.answer.answer import Answer, Citation
from rag_app.chunks import Chunking
from rag_app.cli.answers import Shown, show_answer
from rag_app.cli.excerpt import evidence, excerpt
from rag_app.cli.repl.comparison import Found, show_both
from rag_app.cli.repl.opened import show_opened
from rag_app.cli.run import Run
from rag_app.disk import make_private
from rag_app.errors import RequestError
from rag_app.index import IndexInfo, Workspace, copy_chunks
from rag_app.pairs import read_questions
from rag_app.pairs.feedback import pairs_file, read_feedback
from rag_app.query.opened_passage import OpenedPassage, open_passage
from rag_app.query.transcript import Exchange, as_markdown
from rag_app.retrieve.filters.completing import complete_where

pytestmark = pytest.mark.usefixtures("single_thread")

ASK = ("query", "--llm", "none", "--retriever", "keyword", "--storage")
DOCUMENTS = {
    "refunds.md": "---\ncategory: money back\n---\n"
    "# Refunds\n\nRefunds are paid within five days.\n",
    "parcels.md": "---\ncategory: delivery\n---\n# Parcels\n\nParcels go by freight.\n",
    "hours.md": "# Opening hours\n\n"
    + "\n\n".join(
        f"Shop number {n} in {town} is open from {n} to six." for n, town in enumerate("abcdefgh")
    ),
    "baesong.md": "---\ncategory: 배송 안내\n---\n# 배송\n\n배송은 사흘 걸리며 주말에는 쉽니다.\n",
}


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a storage into which documents were ingested, and a tuned index beside."""
    folder = tmp_path_factory.mktemp("repl")
    storage, docs = folder / "storage", folder / "docs"
    make_tiny_model(storage / "models" / "tiny")
    make_tiny_model(storage / "models" / "tiny-tuned", seed=1)
    docs.mkdir()
    for name, text in DOCUMENTS.items():
        (docs / name).write_text(text, "utf-8")
    small = ("--model", "tiny", "--chunk-size", "48", "--chunk-overlap", "0", "--quiet")
    done = run_app("ingest", docs, "--storage", storage, *small)
    assert done.exit_code == 0, done.stderr
    workspace = Workspace(storage)
    base, model = workspace.open().index, workspace.load_model("tiny-tuned")
    info = IndexInfo.of(model, base.info.chunking, base_model="tiny")
    tuned = workspace.catalog.make("tiny-tuned-48", info)
    copy_chunks(base, tuned, model=model, cache=workspace.cache)
    return folder


@pytest.fixture
def shop(ingested: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that storage, and the folder that holds it as the current one."""
    shutil.copytree(ingested / "storage", tmp_path / "storage")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path / "storage"


# Judgements


def test_judgements_become_pairs(shop: Path) -> None:
    typed = "refunds paid\n/good\n/bad\nparcels freight\n/right 1\nand refunds?\n/good 1\n/bad 2\n"
    done = run_app(*ASK, shop, typed=typed)
    assert (done.exit_code, done.stderr.count("error")) == (0, 0)
    assert "kept: docs/refunds.md answers 'refunds paid'\n" in done.stdout
    assert "kept: docs/refunds.md does not answer 'refunds paid'\n" in done.stdout
    file = shop / "feedback" / "pairs.jsonl"
    assert f"1 labelled pair in {file}; `rag-app finetune --pairs feedback`" in done.stdout
    assert f"2 labelled pairs in {file}; " in done.stdout
    said = [(one.question, one.document, one.verdict) for one in read_feedback(shop)]
    follow_up = "parcels freight and refunds?"
    assert said[:3] == [
        ("refunds paid", "docs/refunds.md", "good"),
        ("refunds paid", "docs/refunds.md", "bad"),
        ("parcels freight", "docs/parcels.md", "right"),
    ]
    # As it was understood: alone it asks nothing.
    assert [(question, verdict) for question, _, verdict in said[3:]] == [
        (follow_up, "good"),
        (follow_up, "bad"),
    ]
    pairs = read_questions(pairs_file(shop))
    assert [one.question for one in pairs] == ["parcels freight", follow_up]
    assert pairs[0].evidence == "# Parcels\n\nParcels go by freight."


def test_good_is_about_the_passages_that_an_answer_cites(shop: Path) -> None:
    with FakeEndpoint(lambda _: completion("Parcels go by freight.")) as fake:
        asked = ("query", "--k", "20", *with_endpoint(fake), "--storage")
        done = run_app(*asked, shop, typed="when are refunds paid\n/good\n")
    assert done.exit_code == 0, done.stderr
    assert "kept: docs/parcels.md answers 'when are refunds paid'\n" in done.stdout
    assert len(read_feedback(shop)) == 1


def test_finetune_takes_judgements_as_pairs(shop: Path) -> None:
    tune = ("finetune", "--pairs", "feedback", "--storage", shop)
    check_error(*tune, kind="PairsError", says="no passage was called right or good yet")
    run_app(*ASK, shop, typed="refunds paid\n/good\n")
    assert "error: 1 pairs are too few to train on" in run_app(*tune).stderr
    other = Path("feedback")
    other.write_text("question,answer\n", "utf-8")
    check_error(*tune, kind="ConfigError", says=f"or {other.absolute()}; write one of these paths")


# Opening


def test_a_passage_in_its_document(shop: Path) -> None:
    done = run_app(*ASK, shop, typed="is the shop number 4 in e open\n/open 1\n")
    assert done.exit_code == 0, done.stderr
    opened = done.stdout[done.stdout.rindex("[1] Opening hours") :]
    shown = [line for line in opened.splitlines() if line]
    assert re.fullmatch(r".*/docs/hours\.md, characters \d+-\d+", shown[1])
    marked = [line for line in shown[2:] if line.startswith("> ")]
    beside = [line for line in shown[2:] if line.startswith("  ")]
    assert any("Shop number 4 in e" in line for line in marked)
    assert any("Shop number 3 in d" in line for line in beside)
    assert shown.index(marked[0]) > 2
    assert len(marked) + len(beside) == len(shown) - 2


def node(start: int, text: str) -> TextNode:
    made = TextNode(text=text, start_char_idx=start, end_char_idx=start + len(text))
    made.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id="a.md")
    made.metadata = {"title": "A", "path": "/docs/a.md"}
    return made


def test_what_stands_around_a_passage() -> None:
    # "aaaa.bbbb..cccc.dddd", with blanks where the dots are; the second and third overlap.
    chunks = [node(0, "aaaa"), node(5, "bbbb"), node(8, "b  cccc"), node(16, "dddd")]
    opened = open_passage(chunks, 8, 15, around=1)
    assert (opened.before, opened.passage, opened.after) == ("bbb", "b  cccc", " dddd")
    assert (opened.document, opened.path, opened.begins, opened.ends) == (
        "a.md",
        "/docs/a.md",
        False,
        True,
    )
    # A larger passage, as +window:1 finds it.
    opened = open_passage(chunks, 0, 15, around=1)
    assert (opened.before, opened.passage, opened.after) == ("", "aaaa bbbb  cccc", " dddd")
    with pytest.raises(RequestError, match="ask again"):
        open_passage(chunks, 40, 50)


# Base and tuned


def test_the_last_question_in_both_indexes(shop: Path) -> None:
    base = name_of(shop)
    typed = "/model tuned\nrefunds paid\n/model base\n/sources\n"
    done = run_app("query", "--llm", "none", "--k", "2", "--storage", shop, typed=typed)
    assert done.exit_code == 0, done.stderr
    switched, _, rest = done.stdout.partition("no language model")
    # Nothing was asked yet.
    assert switched.splitlines() == [f"  {base}", "* tiny-tuned-48", ""]
    lines = rest[rest.index(f"* {base}\n") :].splitlines()
    assert lines[3] == "refunds paid"
    headings = [f"* base: {base}", "  tuned: tiny-tuned-48"]
    assert [line for line in lines if line in headings] == headings
    heads = [line for line in lines if re.match(r"\[[12]\] -?0\.\d{3}  ", line)]
    assert len(heads) == 6
    for line in heads[:4]:
        assert re.search(r"\((rank [12]|not) in (base|tuned)\)$", line), line
    # What commands speak of now are the passages of the index that is asked now.
    now = [line[:10] for line in heads[:2]]
    assert [line[:10] for line in heads[4:]] == now


def test_no_tuned_index(shop: Path) -> None:
    shutil.rmtree(shop / "indexes" / "tiny-tuned-48")
    done = run_app(*ASK, shop, typed="/model tuned\n/model\n")
    assert f"is tuned (known: {name_of(shop)}); `rag-app finetune` makes one" in done.stderr
    assert f"* {name_of(shop)}" in done.stdout


def test_an_index_that_cannot_be_asked_so_is_not_asked(shop: Path, tmp_path: Path) -> None:
    base = name_of(shop)
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "a.md").write_text("Whales sing.", "utf-8")
    run_app("ingest", plain, "--storage", shop, "--index", "plain", "--model", "tiny")
    done = run_app(*ASK, shop, typed="/where category = delivery\n/model plain\n/model\n")
    assert "no chunk has the key 'category'" in done.stderr
    assert f"* {base}" in done.stdout


# The conversation as a file


def test_a_conversation_is_saved_and_never_overwrites(shop: Path) -> None:
    (shop.parent / "mine.md").write_text("precious", "utf-8")
    typed = (
        "/save talk.md\nrefunds paid\n/save\n/save mine.md\n/save no/talk.md\n/save a\0b\n/save .\n"
        "/save talk.md\n"
        "parcels freight\n/save talk.md\n"
    )
    done = run_app(*ASK, shop, typed=typed)
    assert done.exit_code == 0
    assert done.stderr.splitlines()[1:] == [
        "error: nothing was asked yet, so there is nothing to save",
        "error: /save takes a file: /save talk.md",
        "error: mine.md is there already; name another file, or remove it first",
        "error: no/talk.md cannot be written: there is no folder no; make it (mkdir -p no), or "
        "name another place",
        "error: /save takes the name of a file, not 'a\\x00b'",
        "error: . cannot be written: a folder is there; name another place",
    ]
    assert "1 answer in talk.md\n" in done.stdout
    # Its own file it may write again.
    assert "2 answers in talk.md\n" in done.stdout
    text = Path("talk.md").read_text("utf-8")
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "# Questions and answers",
        "## refunds paid",
        "## parcels freight",
    ]
    assert "\n    > Refunds are paid within five days.\n" in text
    assert Path("mine.md").read_text("utf-8") == "precious"


def cited(n: int, text: str, *, title: str = "Title", document: str = "a.md") -> Citation:
    return Citation(
        n=n,
        path=f"/docs/{document}",
        document=document,
        title=title,
        date="2024-01-02",
        page=3,
        start=10,
        end=10 + len(text),
        text=text,
        score=0.5,
        page_end=4,
    )


def test_the_whole_of_a_saved_conversation() -> None:
    found = Answer(
        "and *now*?", "Yes <b>. [1]", [cited(1, "One.\n\n# Two <i>")], understood_as="is it now"
    )
    nothing = Answer("what", None, [])
    saved = as_markdown(
        [Exchange(found, "i", "m", "vector"), Exchange(nothing, "i", "m", "hybrid")]
    )
    assert (
        saved
        == """# Questions and answers

## and \\*now\\*?

Understood as: is it now

Yes &lt;b>. [1]

1. **Title**, `/docs/a.md`, pages 3-4, characters 10-25, 2024-01-02, score 0.500

    > One.
    >
    > # Two &lt;i>

Index `i`, model `m`, retriever `vector`.

## what

Nothing was found.

Index `i`, model `m`, retriever `hybrid`.
"""
    )


# Mistakes


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("/opne 2", "unknown command /opne; did you mean /open?"),
        ("/xyzzy", "unknown command /xyzzy; /help shows the commands"),
        ("/open 99", "there is no passage 99; the last answer has passages 1 to 2"),
        ("/open", "/open takes the number of a passage of the last answer: /open 2"),
        ("/right x", "/right takes the number of a passage of the last answer, not 'x': /right 2"),
        ("/right", "/right takes the number of a passage of the last answer: /right 2"),
        ("/good 0", "there is no passage 0; the last answer has passages 1 to 2"),
        ("/where nokey = 3", "no chunk has the key 'nokey'"),
        ("/retriever hybird", "unknown retriever 'hybird', did you mean hybrid?"),
        ("/model nope", "there is no index 'nope'"),
        ("/retriever vector+hyde", "hyde asks a language model and there is none"),
    ],
)
def test_a_mistake_is_one_message_and_the_conversation_goes_on(
    shop: Path, typed: str, says: str
) -> None:
    done = run_app(*ASK, shop, "--k", "2", typed=f"open shop\n{typed}\n/k\n")
    assert done.exit_code == 0
    [_, error] = done.stderr.splitlines()
    assert error.startswith("error: ")
    assert says in error
    assert done.stdout.splitlines()[-1].startswith("2 passages; ")


def test_judging_and_opening_before_a_question(shop: Path) -> None:
    done = run_app(*ASK, shop, typed="/good\n/open 1\n/right 1\n/sources\n")
    asked = "error: nothing was asked yet; ask a question first"
    assert done.stderr.splitlines()[1:] == [asked] * 3
    assert done.stdout == "nothing was asked yet\n"


def test_judgements_that_cannot_be_written(shop: Path) -> None:
    (shop / "feedback").write_text("a file where a folder is to be", "utf-8")
    done = run_app(*ASK, shop, typed="refunds paid\n/good\n/k\n")
    assert done.exit_code == 0, done.exception
    assert "error: storage/feedback: something else than a folder is there" in done.stderr.replace(
        f"{shop.parent}/", ""
    )
    assert "5 passages; " in done.stdout


# On one screen

KOREAN = "배송은 사흘 걸리며 주말에는 쉽니다. 산간은 이틀 더 걸립니다. 무료는 오만원부터입니다. "
ENGLISH = "Refunds are paid within five days. The bank may take longer. We open at nine sharp. "


def on_terminal(width: int, height: int) -> tuple[Run, io.StringIO]:
    run = Run(storage=None, config=None, as_json=False, quiet=False)
    out = io.StringIO()
    # As a real one counts: what it would break anew is wider than it.
    run.out = Console(file=out, force_terminal=True, color_system=None, width=width, height=height)
    return run, out


@pytest.mark.parametrize("text", [KOREAN, ENGLISH], ids=["Korean", "English"])
@pytest.mark.parametrize(("width", "height"), [(40, 12), (80, 24), (120, 40), (200, 60)])
@pytest.mark.parametrize("count", [1, 3, 5, 12, 30])
@pytest.mark.parametrize("written", [None, "Five days. [1]"], ids=["passages", "answer"])
def test_an_answer_fits_on_the_screen(
    text: str, width: int, height: int, count: int, written: str | None
) -> None:
    title = " ".join(text.split()[:6])
    citations = [cited(n, text * (n % 4 + 1), title=title) for n in range(1, count + 1)]
    found = Answer("refunds 배송", written, citations)
    run, out = on_terminal(width, height)
    chosen = evidence(found, WordModel())
    show_answer(run, found, Shown(evidence=chosen, lines=height - 3, introduced=True))
    lines = out.getvalue().splitlines()
    assert len(lines) <= height - 3
    assert max(map(cell_len, lines)) <= width
    heads = [line for line in lines if re.match(r"\[\d+\] 0\.500", line)]
    if len(heads) < count:
        assert lines[-1].startswith(f"{count - len(heads)} more; /sources or --full")
    # With as many lines as it wants, each passage has them.
    if height >= 24 and count <= 5:
        assert len(heads) == count


def test_the_evidence_stays_on_the_screen() -> None:
    sentences = [f"Sentence number {n} says nothing at all of the matter." for n in range(30)]
    sentences[20] = "Zebras are striped."
    found = Answer("zebras striped", None, [cited(1, " ".join(sentences))])
    [chosen] = evidence(found, WordModel())
    for cells in (30, 60, 120, 600):
        part = excerpt(found.citations[0].text, chosen, cells=cells)
        assert part.sentence == "Zebras are striped."
        assert len(f"{part.before}{part.sentence}{part.after}") <= cells + len("… " + " …")
    assert excerpt(found.citations[0].text, chosen, cells=12).sentence == "Zebras are"


def test_what_an_answer_cites_is_its_evidence() -> None:
    text = "Zebras are striped. Refunds are paid in five days."
    found = Answer("zebras striped", None, [cited(1, text)])
    [nearest] = evidence(found, WordModel())
    assert excerpt(text, nearest).sentence == "Zebras are striped."
    checked = answer_of("Refunds are paid in five days.", "zebras striped", text)
    [cited_one] = evidence(checked, WordModel())
    assert excerpt(text, cited_one).sentence == "Refunds are paid in five days."


def answer_of(said: str, question: str, text: str) -> Answer:
    """What a language model's answer comes to after its check."""
    from rag_app.answer.citations import check_citations

    citations = [cited(1, text)]
    checked = check_citations(said, [one.shown for one in citations])
    return Answer(question, checked.text, citations, checked, "m")


def found_by(name: str, base: str, citations: list[Citation]) -> Found:
    model = WordModel(name)
    info = IndexInfo.of(model, Chunking(64, 0, "rules"), base_model=base)
    return Found(f"{name}-64", info, model, Answer("refunds 배송", None, citations))


@pytest.mark.parametrize("width", [60, 99, 100, 160])
def test_two_answers_fit_beside_each_other_or_below(width: int) -> None:
    one, two = cited(1, KOREAN * 4, title="배송 안내"), cited(2, ENGLISH * 4, document="b.md")
    base = found_by("base", "base", [one, two])
    moved = [cited(1, ENGLISH * 4, document="b.md"), cited(2, "New.", document="c.md")]
    tuned = found_by("tuned", "base", moved)
    run, out = on_terminal(width, 30)
    show_both(run, tuned, base, lines_used=2)
    lines = out.getvalue().splitlines()
    assert max(map(cell_len, lines)) <= width
    assert len(lines) <= 30 - 3
    text = out.getvalue()
    for said in ("배송 안내", "(not in tuned)", "(rank 1 in tuned)", "(rank 2 in base)"):
        assert said in text
    first, second = (text.index(one) for one in ("* base: base-64", "  tuned: tuned-64"))
    assert first < second
    beside = [line for line in lines if "base: base-64" in line and "tuned: tuned-64" in line]
    assert bool(beside) == (width >= 100)
    if beside:
        # The second column begins in one place, however wide the letters before it.
        place = cell_len(beside[0][: beside[0].index("  tuned:")])
        [row] = [line for line in lines if "배송 안내" in line]
        assert cell_len(row[: row.rindex("[1]")]) == place


def test_neighbours_that_share_a_little_are_two_passages() -> None:
    """Characters 10-110 in base; in tuned its neighbour, 90-190, and its larger half, 10-70."""
    whole = cited(1, "x" * 100)
    neighbour = replace(cited(1, "y" * 100), start=90, end=190)
    half = cited(2, "z" * 60)
    run, out = on_terminal(120, 40)
    base, tuned = found_by("base", "base", [whole]), found_by("tuned", "base", [neighbour, half])
    show_both(run, base, tuned, lines_used=0)
    ranks = re.findall(r"\((rank \d|not) in (base|tuned)\)", out.getvalue())
    assert ranks == [("rank 2", "tuned"), ("not", "base"), ("rank 1", "base")]


def test_a_document_cannot_speak_to_the_terminal() -> None:
    evil = "\x1b]0;pwned\x07\x1b[31mRefunds [bold]"
    run, out = on_terminal(120, 40)
    citation = cited(1, evil, title=evil, document=evil)
    show_both(
        run,
        found_by("base", "base", [citation]),
        found_by("tuned", "base", [citation]),
        lines_used=0,
    )
    show_opened(run, citation, OpenedPassage(evil, evil, evil, evil, 0, 5))
    assert not set("\x1b\x07") & set(out.getvalue())
    assert out.getvalue().count("[bold]") > 4


# Tab

FILTERS = {"category": ["delivery", "money back"], "date": [], "제품": ["공기 청정기"]}


@pytest.mark.parametrize(
    ("typed", "length", "choices"),
    [
        ("", 0, ["category", "date", "제품", "not"]),
        ("cat", 3, ["category"]),
        ("category ", 0, ["=", "!=", "in (", "not in ("]),
        ("date ", 0, ["=", "!=", "in (", "not in (", "<", "<=", ">", ">="]),
        ("category not ", 0, ["in ("]),
        ("category = ", 0, ["delivery", '"money back"']),
        ("category =mo", 2, ['"money back"']),
        ('category = "mo', 3, ['"money back"']),
        ('category = "money back" ', 0, ["and", "or"]),
        ("category in (delivery, ", 0, ["delivery", '"money back"']),
        ("category in (delivery) o", 1, ["or"]),
        ("not (제", 1, ["제품"]),
        ("제품 = 공", 1, ['"공기 청정기"']),
        ("category = delivery and d", 1, ["date"]),
        ("nokey = ", 0, []),
    ],
)
def test_what_may_follow_in_a_filter(typed: str, length: int, choices: list[str]) -> None:
    begun = complete_where(typed, FILTERS)
    assert (begun.typed, list(begun.choices)) == (length, choices)


@contextmanager
def repl(storage: Path, *options: str) -> Iterator[tuple[int, str]]:
    """A REPL on a terminal of its own, and what it showed so far; ended with Ctrl-D."""
    terminal, child = pty.openpty()
    environment = {**os.environ, "PROMPT_TOOLKIT_NO_CPR": "1", "TERM": "xterm", "LINES": "40"}
    command = [sys.executable, "-m", "rag_app.query", "--storage", str(storage), "--llm", "none"]
    with subprocess.Popen(
        [*command, *options], cwd=ROOT, env=environment, stdin=child, stdout=child, stderr=child
    ) as process:
        os.close(child)
        try:
            yield terminal, read_until(terminal, "ask>")
            os.write(terminal, b"\x04")
            assert process.wait(60) == 0
        finally:
            process.kill()
            os.close(terminal)


@pytest.mark.slow
def test_tab_paste_and_history(shop: Path) -> None:
    (shop / "history").write_text("", "utf-8")
    (shop / "history").chmod(0o644)
    with repl(shop, "--retriever", "keyword") as (terminal, _):
        os.write(terminal, b"/wh\t")
        read_until(terminal, "/where", "/why")
        os.write(terminal, b"\x03")
        read_until(terminal, "ask>")
        os.write(terminal, "/where category = 배\t\r".encode())
        read_until(terminal, 'category = "배송 안내"', "ask>")
        os.write(terminal, b"/where off\r")
        read_until(terminal, "no filter", "ask>")
        os.write(terminal, "\x1b[200~배송은\r\n며칠\n걸리나요\x1b[201~".encode())
        read_until(terminal, "걸리나요")
        os.write(terminal, b"\r")
        read_until(terminal, "baesong.md", "ask>")
        os.write(terminal, b"/good\r")
        read_until(terminal, "'배송은 며칠 걸리나요'", "ask>")
    history = shop / "history"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert "+배송은\n+며칠\n+걸리나요\n" in history.read_text("utf-8")
    # Three lines up: the paste, whole.
    with repl(shop, "--retriever", "keyword") as (terminal, _):
        os.write(terminal, b"\x1b[A\x1b[A")
        read_until(terminal, "걸리나요")
        os.write(terminal, b"\r")
        read_until(terminal, "baesong.md", "ask>")


@pytest.mark.slow
def test_a_history_that_cannot_be_written_is_told_once(shop: Path) -> None:
    (shop / "history").mkdir()
    with repl(shop) as (terminal, seen):
        told = " ".join(seen.split())
        assert f"what you type is not kept for the next run: {shop}/history" in told
        os.write(terminal, b"/k 3\r")
        read_until(terminal, "3 passages from now on", "ask>")
        # In this run it is.
        os.write(terminal, b"\x1b[A\r")
        read_until(terminal, "3 passages from now on", "ask>")


def test_a_private_file_keeps_what_it_holds_and_a_device_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "history"
    file.write_text("+what\n", "utf-8")
    file.chmod(0o644)
    make_private(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text("utf-8") == "+what\n"
    terminal, child = pty.openpty()
    device = Path(os.ttyname(child))
    mode = device.stat().st_mode
    (tmp_path / "link").symlink_to(device)
    make_private(tmp_path / "link")
    assert device.stat().st_mode == mode
    os.close(child)
    os.close(terminal)
    make_private(tmp_path / "new" / "history")
    assert stat.S_IMODE((tmp_path / "new" / "history").stat().st_mode) == 0o600


def test_json_has_one_object_for_each_question(shop: Path) -> None:
    typed = "refunds paid\n/model tuned\n/good\nparcels freight\n"
    done = run_app(*ASK, shop, "--json", typed=typed)
    assert done.exit_code == 0
    asked = [json.loads(line)["question"] for line in done.stdout.splitlines()]
    assert asked == ["refunds paid", "parcels freight"]
