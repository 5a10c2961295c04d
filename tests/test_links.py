"""A citation of a PDF's page leads to that page, wherever links are shown."""

import json
from io import StringIO
from pathlib import Path

import pytest
from report_runs import make_finetune, outcome, passage
from rich.console import Console
from test_answer import PARCEL, REFUND, hit
from test_cli import run_app
from test_documents_pages import pdf
from test_report_page import Page
from tiny import make_tiny_model

from rag_app.answer.answer import Citation, answer
from rag_app.cli.answers import show_head
from rag_app.cli.run import Run
from rag_app.documents.links import source_uri
from rag_app.evaluate.kept_passages import keep_passages, passages_of, read_passages
from rag_app.report.write import write_report

LEASE = "file:///docs/My%20lease.pdf#page=2"


class Screen(Run):
    """A run whose output is kept."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__(storage=None, config=None, as_json=False, quiet=False)
        self.written = StringIO()
        self._console = Console(file=self.written, force_terminal=terminal, width=200)

    @property
    def out(self) -> Console:
        return self._console


def cited() -> Citation:
    at_page = hit(PARCEL, path="/docs/My lease.pdf", page=2, page_end=3)
    return answer("how long?", [at_page], None).citations[0]


def test_only_a_pdf_has_pages_to_open() -> None:
    assert source_uri("/docs/A & B.PDF", 2) == "file:///docs/A%20%26%20B.PDF#page=2"
    assert source_uri("/docs/계약.pdf", None) == "file:///docs/%EA%B3%84%EC%95%BD.pdf"
    assert source_uri("/docs/slides.pptx", 2) == "file:///docs/slides.pptx"
    assert source_uri("handed over.pdf", 2) == source_uri("") == ""


def test_a_citation_of_a_pdf_that_was_ingested_names_the_page(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    rules = [f"Rule {n} of the lease is about the keys." for n in range(3)]
    (tmp_path / "docs" / "lease.pdf").write_bytes(pdf(rules, ["Dogs are welcome in the yard."]))
    model = make_tiny_model(tmp_path / "tiny")
    where = ("--storage", tmp_path / "storage")
    sizes = ("--chunk-size", "32", "--chunk-overlap", "0")
    run_app("ingest", tmp_path / "docs", "--model", model, *sizes, *where)
    done = run_app("query", "-q", "dogs in the yard", "--llm", "none", "--k", "9", "--json", *where)
    found = {one["text"]: one["uri"] for one in json.loads(done.stdout)["citations"]}
    [uri] = [uri for text, uri in found.items() if text.startswith("Dogs")]
    assert uri == (tmp_path / "docs" / "lease.pdf").as_uri() + "#page=2"


@pytest.mark.parametrize("terminal", [True, False])
def test_a_passage_s_head_is_a_link_on_a_terminal_alone(terminal: bool) -> None:
    screen = Screen(terminal=terminal)
    show_head(screen, cited())
    shown = screen.written.getvalue()
    assert "pages 2-3" in shown
    assert (LEASE in shown) is terminal


def test_the_report_links_a_passage_to_its_page(tmp_path: Path) -> None:
    nodes = [hit(REFUND, path="/docs/My lease.pdf", page=2).node]
    nodes[0].id_ = "r0"
    keep_passages(tmp_path, passages_of(nodes, [outcome(0, 2)], {}).values())
    [kept] = read_passages(tmp_path).values()
    assert kept.uri == LEASE
    passages = [kept, passage("r1", uri="javascript:alert(1)"), passage("w1")]
    run = make_finetune(tmp_path / "run", [2, 1], [None, 1], passages=passages)
    page = Page(write_report(run).html.read_text("utf-8"))
    links = [one["href"] for one in page.named("a") if not one["href"].startswith("#")]
    assert links == [LEASE]
