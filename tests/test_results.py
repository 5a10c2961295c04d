"""What all results of public functions can do: plain values, a table, a data frame."""

import dataclasses
import inspect
import json
import typing
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from fakes import WordModel
from llama_index.core.schema import Document
from rich.cells import cell_len
from test_api import PASSAGES, documents, function_of
from tiny import make_tiny_model

import rag_app
from rag_app import compare, evaluate, finetune, ingest, open_index, sweep, write_questions
from rag_app.evaluate.comparison import Comparison
from rag_app.evaluate.evaluation import Evaluation
from rag_app.finetune.result import FinetuneResult
from rag_app.ingest.report import IngestReport
from rag_app.llm.choose import LanguageModelOptions
from rag_app.questions import QuestionsReport
from rag_app.result import Result, Table
from rag_app.sweep.result import SweepResult
from rag_app.text.width import columns

# Functions that give what is at work, or plain rows.
OTHERS = {"language_model", "open_index", "read_questions"}
ASKED = [(f"tell me about {subject}", text) for subject, text in PASSAGES.items()]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, single_thread: None) -> dict[str, Result]:
    """What each public function returned."""
    folder = tmp_path_factory.mktemp("results")
    own: dict[str, Any] = {"storage": folder / "words", "embedder": WordModel()}
    ingested = ingest(documents(), chunk_size=32, chunk_overlap=0, **own)
    written = write_questions(llm=LanguageModelOptions(kind="none"), **own)
    index = open_index(**own)
    vector, keyword = (
        evaluate(index.as_retriever(name), ASKED, name=name) for name in ("vector", "keyword")
    )
    tuned = finetune(
        ASKED,
        storage=folder / "tuned",
        model=str(make_tiny_model(folder / "tiny", words=list(PASSAGES))),
        canary="none",
        promote=False,
        refit=False,
        training={"epochs": 1, "batch_size": 8},
    )
    swept = sweep(ASKED, chunk_sizes=(32,), retrievers=("keyword",), **own)
    return {
        "ingest": ingested,
        "write_questions": written,
        "evaluate": vector,
        "compare": compare(vector, keyword),
        "finetune": tuned,
        "sweep": swept,
    }


def test_every_public_function_gives_a_result(results: dict[str, Result]) -> None:
    functions = {name for name in rag_app.__all__ if inspect.isfunction(function_of(name))}
    assert functions == {*results, *OTHERS}


@pytest.mark.parametrize(
    ("name", "kind", "rows"),
    [
        # One a document, question, metric or setting.
        ("ingest", IngestReport, 30),
        ("write_questions", QuestionsReport, None),
        ("evaluate", Evaluation, 30),
        ("compare", Comparison, 12),
        ("finetune", FinetuneResult, 12),
        ("sweep", SweepResult, 2),
    ],
)
def test_results_can_be_kept_and_looked_at(
    results: dict[str, Result], name: str, kind: type[Result], rows: int | None
) -> None:
    result = results[name]
    assert type(result) is kind
    assert json.loads(json.dumps(result.to_json())) == result.to_json()
    frame = result.to_pandas()
    assert len(frame) == (getattr(result, "kept", 0) if rows is None else rows)
    page = result._repr_html_()
    assert page.startswith("<table><caption>")
    assert "<td>" in page
    # A table, and not all that is inside.
    assert len(repr(result)) < 1500
    assert kind.__name__ not in repr(result) or kind is Evaluation


def test_a_table_is_text_and_html() -> None:
    table = Table(["name", "n"], [["<b>", "1"], ["longer", "22"]], caption="a & b", notes=["so"])
    assert str(table) == "a & b\nname    n\n<b>     1\nlonger  22\nso"
    page = table.as_html()
    assert "<caption>a &amp; b</caption>" in page
    assert "<td>&lt;b&gt;</td>" in page
    assert page.endswith("</table><p>so</p>")


def test_a_sweep_shows_scores_changes_and_what_is_recommended(results: dict[str, Result]) -> None:
    swept = results["sweep"]
    lines = repr(swept).splitlines()
    assert lines[0] == "settings chosen on 15 questions by hit_rate@1024t, scored on 15 others"
    assert lines[1].split()[:3] == ["setting", "hit_rate@1", "mrr@10"]
    assert "(current)" in lines[2]
    assert lines[-1] == swept.to_json()["recommended"]["reason"]
    frame = swept.to_pandas()
    assert list(frame["retriever"]) == ["vector", "keyword"]
    assert {"mrr@10", "mrr@10_low", "mrr@10_high", "change", "change_low", "p_holm"} <= {*frame}


def test_an_ingest_names_what_became_of_each_document(tmp_path: Path) -> None:
    def run(*given: Document) -> Result:
        return ingest(list(given), storage=tmp_path, embedder=WordModel(), dedupe=True)

    run(Document(id_="a", text="Gifts are wrapped."), Document(id_="b", text="Call us at noon."))
    text = "Gifts are wrapped in paper."
    result = run(Document(id_="a", text=text), Document(id_="c", text=text))
    assert [list(row) for row in result.to_pandas().to_numpy()] == [
        ["a", "changed", ""],
        ["c", "left out", "repeats a"],
    ]
    assert "changed    1" in repr(result)


def test_representations_are_the_tables_of_all_results() -> None:
    for kind in (IngestReport, QuestionsReport, Comparison, FinetuneResult, SweepResult):
        assert dataclasses.is_dataclass(kind)
        assert typing.cast("Any", kind).__repr__ is Result.__repr__


def test_a_printed_table_lines_up_with_korean_names() -> None:
    """Each Korean letter takes two columns, composed or not."""
    names = ["faq", "반품 안내", unicodedata.normalize("NFD", "반품"), "caf\u00e9"]
    table = Table(["name", "n"], [[name, "1"] for name in names], "c")
    lines = str(table).splitlines()[1:]
    assert [cell_len(line) for line in lines] == [len("반품 안내") + 4 + 3] * 5
    assert [columns(name) for name in names] == [cell_len(name) for name in names] == [3, 9, 4, 4]
