"""Known questions: read from tables, kept in the index, searched first, held out where judged."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import WordModel
from openpyxl import Workbook

from rag_app.chunks import Chunking
from rag_app.documents import read_documents
from rag_app.index import (
    Catalog,
    IndexInfo,
    VectorCache,
    VectorIndex,
    Workspace,
    add_known,
    copy_chunks,
    read_known,
    sync_documents,
)
from rag_app.ingest.kept import FILES
from rag_app.ingest.request import IndexOptions, IngestRequest
from rag_app.ingest.stage import ingest
from rag_app.known import KNOWN_QUESTIONS, KnownQuestion, load_questions
from rag_app.query.opened import Index
from rag_app.retrieve import RetrievalOptions, Searched, Tools, Trace, build_retriever
from rag_app.retrieve.known import KNOWN_QUESTION, ROUNDING, KnownIndex, same_wording
from rag_app.retrieve.weak import nearest_cosine

FAQ = (
    "question,answer,topic\n"
    "When are you open?,From nine to six.,hours\n"
    "May I send it back?,Within thirty days.,returns\n"
    "How long may I return things?,Within thirty days.,returns\n"
    ",Nobody asks for this.,none\n"
)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "storage", embedder=WordModel())


@pytest.fixture
def faq(tmp_path: Path) -> Path:
    path = tmp_path / "shop" / "faq.csv"
    path.parent.mkdir()
    path.write_text(FAQ, "utf-8")
    return path


def read_again(workspace: Workspace, *paths: Path) -> Any:
    return ingest(workspace, IngestRequest(paths, options=IndexOptions("words"))).sync


def known_texts(index: VectorIndex) -> dict[str, list[tuple[str, str]]]:
    """Answer -> its questions, each with where it stands."""
    texts = {node.ref_doc_id: node.text for node in index.nodes()}
    return {
        texts[document]: [(one.text, one.place) for one in each.questions]
        for document, each in read_known(index).items()
    }


def vectors_of(index: VectorIndex) -> bytes:
    return index.passages().vectors.tobytes()


def retrieve(workspace: Workspace, question: str, spec: str, **how: Any) -> tuple[Any, Trace]:
    opened = workspace.open()
    searched = Searched(opened.index, opened.model, **how)
    options = RetrievalOptions.parse(spec)
    retriever = build_retriever(searched, options, top_k=3, tools=Tools.of(workspace))
    trace = Trace(question)
    [hits] = retriever.rank([trace])
    return hits, trace


# Reading


def test_merged_rows_give_all_their_questions_with_their_rows(faq: Path) -> None:
    documents = {one.text: one for one in read_documents([faq]).documents}
    asked = {
        text: [
            (one.text, one.place)
            for one in load_questions(document.metadata.get(KNOWN_QUESTIONS, "[]"), "x")
        ]
        for text, document in documents.items()
    }
    assert asked == {
        "From nine to six.": [("When are you open?", "row 2")],
        "Within thirty days.": [
            ("May I send it back?", "row 3"),
            ("How long may I return things?", "row 4"),
        ],
        "Nobody asks for this.": [],
    }
    for document in documents.values():
        assert "?" not in document.get_content("embed") + document.get_content("llm")


def test_sheets_are_named_where_there_are_several(tmp_path: Path) -> None:
    book = Workbook()
    del book["Sheet"]
    shop, returns = book.create_sheet("Shop"), book.create_sheet("Returns")
    for row in (["question", "answer"], ["Why?", "So."]):
        shop.append(row)
    for row in ([], ["question", "answer"], ["How?", "Thus."]):
        returns.append(row)
    book.save(tmp_path / "faq.xlsx")
    documents = read_documents([tmp_path / "faq.xlsx"]).documents
    places = [
        load_questions(one.metadata[KNOWN_QUESTIONS], "x")[0].place
        for one in sorted(documents, key=lambda one: one.text)
    ]
    assert places == ["sheet Shop, row 2", "sheet Returns, row 3"]


# Keeping


def test_an_edited_question_arrives_without_embedding_a_passage(
    workspace: Workspace, faq: Path
) -> None:
    first = read_again(workspace, faq)
    index = workspace.open().index
    before = vectors_of(index)
    assert (len(first.added), first.known_questions, first.requestioned) == (3, 3, [])
    faq.write_text(FAQ.replace("When are you open?", "What are your hours?"), "utf-8")
    model = workspace.embedder
    assert isinstance(model, WordModel)
    model.embedded.clear()
    second = read_again(workspace, faq)
    assert (second.changed, len(second.unchanged), len(second.requestioned)) == ([], 3, 1)
    assert model.embedded == []
    assert known_texts(index)["From nine to six."] == [("What are your hours?", "row 2")]
    assert vectors_of(index) == before
    assert read_again(workspace, faq).requestioned == []


def test_an_index_of_before_gets_its_questions_at_the_next_ingest(
    workspace: Workspace, faq: Path
) -> None:
    read_again(workspace, faq)
    index = workspace.open().index
    ids = index.chunk_ids()
    with index.connection.batch() as rows:
        rows.update(
            ids=ids, metadatas=[{"_known_questions": None, "_known_count": None} for _ in ids]
        )
    # Such an index has no record of the files that were read for it.
    (index.folder / FILES).unlink()
    assert known_texts(index) == {}
    hits, trace = retrieve(workspace, "when are you open", "vector+questions")
    assert (len(hits), [step.name for step in trace.steps]) == (3, ["vector"])
    assert len(read_again(workspace, faq).requestioned) == 2
    assert len(known_texts(index)) == 2


def test_a_question_that_is_deleted_is_known_no_more(workspace: Workspace, faq: Path) -> None:
    read_again(workspace, faq)
    faq.write_text(FAQ.replace("When are you open?", ""), "utf-8")
    read_again(workspace, faq)
    assert list(known_texts(workspace.open().index)) == ["Within thirty days."]


def test_known_questions_are_no_filter_and_in_no_node(workspace: Workspace, faq: Path) -> None:
    read_again(workspace, faq)
    index = workspace.open().index
    assert not [key for key in index.metadata_keys() if "known" in key]
    for node in index.nodes():
        assert not [key for key in node.metadata if "known" in key]


def test_labelled_questions_stay_through_an_ingest_and_go_with_their_document(
    workspace: Workspace, faq: Path
) -> None:
    read_again(workspace, faq)
    index = workspace.open().index
    names = {node.text: node.ref_doc_id for node in index.nodes()}
    hours = names["From nine to six."]
    new = [
        KnownQuestion("closed at seven?", hours, origin="human"),
        KnownQuestion("WHEN are you open", hours, origin="human"),
        KnownQuestion("of no document", "elsewhere", origin="human"),
        KnownQuestion("??", hours, origin="human"),
    ]
    # The second is known already, the others cannot be.
    assert add_known(index, new) == 1
    assert add_known(index, new) == 0
    there = [("When are you open?", "row 2"), ("closed at seven?", "labelled")]
    assert known_texts(index)["From nine to six."] == there
    faq.write_text(FAQ.replace("hours\n", "opening\n"), "utf-8")
    assert len(read_again(workspace, faq).changed) == 1
    assert known_texts(index)["From nine to six."] == there
    faq.write_text("question,answer\nWhy?,So.\n", "utf-8")
    read_again(workspace, faq)
    assert list(known_texts(index)) == ["So."]


def test_a_labelled_place_moves_with_its_words(tmp_path: Path) -> None:
    model = WordModel()
    index = Catalog(tmp_path / "s").make("words", IndexInfo.of(model, Chunking(16, 0)))
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()

    def sync(text: str) -> None:
        page.write_text(text, "utf-8")
        documents = read_documents([page.parent]).documents
        cache = VectorCache(tmp_path / "s")
        sync_documents(index, documents, roots=[page.parent], model=model, cache=cache)

    long = " ".join(f"w{number}" for number in range(12)) + "."
    sync(f"{long}\n\nThe fee is five euro.")
    start = len(long) + 2
    add_known(
        index,
        [
            KnownQuestion("what is the fee", "docs/page.md", start, start + 21, "human"),
            KnownQuestion("what is w3", "docs/page.md", 0, len(long), "human"),
        ],
    )
    sync(f"Something new stands here.\n\nThe fee is five euro.\n\n{long.replace('w3', 'x3')}")
    [known] = read_known(index).values()
    # "Something new stands here." and two line breaks are 28 characters.
    assert [(one.text, one.start, one.end) for one in known.questions] == [
        ("what is the fee", 28, 49)
    ]
    view = KnownIndex.of(index, model, VectorCache(tmp_path / "s"))
    [[chunk_id]] = view.chunk_ids
    [node] = index.get_nodes([chunk_id])
    assert "five euro" in node.text


def test_a_copy_has_the_questions_of_its_source(workspace: Workspace, faq: Path) -> None:
    read_again(workspace, faq)
    source = workspace.open().index
    tuned = WordModel("tuned", seed=1)
    target = workspace.catalog.make("tuned", IndexInfo.of(tuned, source.info.chunking))
    copy_chunks(source, target, model=tuned, cache=workspace.cache)
    assert known_texts(target) == known_texts(source)
    name = next(iter(read_known(source)))
    add_known(target, [KnownQuestion("asked in use", name, origin="use")])
    copy_chunks(source, target, model=tuned, cache=workspace.cache)
    assert [one.text for one in read_known(target)[name].questions][-1] == "asked in use"


def test_endless_questions_are_counted_and_not_searched(workspace: Workspace, faq: Path) -> None:
    faq.write_text(FAQ.replace("May I send it back?", "a" * 10_000), "utf-8")
    report = ingest(workspace, IngestRequest([faq], options=IndexOptions("words")))
    assert report.warnings == [
        "1 of 3 questions are longer than the 2000 characters that can be asked, so they are not "
        "searched; shorten them in the table"
    ]
    assert report.sync.known_questions == 2


# Searching


@pytest.mark.parametrize("spec", ["vector", "keyword", "hybrid:0.7"])
@pytest.mark.parametrize("in_memory", [False, True])
def test_a_question_asked_before_brings_its_passage_first(
    workspace: Workspace, faq: Path, spec: str, in_memory: bool
) -> None:
    read_again(workspace, faq)
    how = {"passages": workspace.open().index.passages()} if in_memory else {}
    asked = "  when are YOU open"
    plain, _ = retrieve(workspace, asked, spec, **how)
    assert all(KNOWN_QUESTION not in hit.node.metadata for hit in plain)
    hits, trace = retrieve(workspace, asked, f"{spec}+questions", **how)
    assert hits[0].node.text == "From nine to six."
    assert hits[0].node.metadata[KNOWN_QUESTION] == {
        "text": "When are you open?",
        "row": 2,
        "sheet": "",
        "origin": "faq",
        "place": "row 2",
    }
    assert hits[0].score == max(hit.score for hit in hits)
    assert "?" not in hits[0].node.get_content("llm")
    assert trace.steps[-1].note == 'asked before: "When are you open?" (row 2), cosine 1.000'
    assert nearest_cosine(trace) is None


def test_each_hit_tells_the_nearest_of_its_own_questions(workspace: Workspace, faq: Path) -> None:
    read_again(workspace, faq)
    hits, trace = retrieve(workspace, "how long may things take", "vector+questions")
    told = {hit.node.text: hit.node.metadata.get(KNOWN_QUESTION, {}).get("row") for hit in hits}
    assert told == {"From nine to six.": 2, "Within thirty days.": 4, "Nobody asks for this.": None}
    assert trace.asked_before is None
    assert trace.steps[-1].note.startswith(
        'not asked before; the nearest is: "How long may I return things?" (row 4), cosine 0.'
    )


def test_a_filter_holds_for_known_questions_too(workspace: Workspace, faq: Path) -> None:
    read_again(workspace, faq)
    opened = workspace.open()
    options = RetrievalOptions.parse("vector+questions", where="topic = returns")
    for passages in (None, opened.index.passages()):
        searched = Searched(opened.index, opened.model, passages)
        retriever = build_retriever(searched, options, top_k=3, tools=Tools.of(workspace))
        [hits] = retriever.retrieve_many(["when are you open"])
        assert [hit.node.text for hit in hits] == ["Within thirty days."]


def test_a_question_is_held_out_and_the_others_of_its_passage_are_not(
    workspace: Workspace, faq: Path
) -> None:
    read_again(workspace, faq)
    opened = workspace.open()
    view = Searched(opened.index, opened.model).questions(workspace.storage)
    asked = "May I send it back"
    vector = opened.model.embed_queries([asked])[0]
    rows = [one.text for one in view.questions].index
    free, held = (view.scores(Trace(asked), vector, held_out=out) for out in (False, True))
    own, other = rows("May I send it back?"), rows("How long may I return things?")
    assert (free[own], held[own]) == (1.0, -1.0)
    assert held[other] == free[other] > 0
    # In six of seven words the same: the one question, spelled otherwise.
    assert same_wording("may i send it back to you", "may i send it all back to you")
    assert not same_wording("when are you open", "when are you closed today")


def test_questions_that_no_index_keeps_are_searched_instead(
    workspace: Workspace, faq: Path
) -> None:
    read_again(workspace, faq)
    opened = workspace.open()
    index, model, cache = opened.index, opened.model, VectorCache(workspace.storage)
    kept = KnownIndex.of(index, model, cache)
    given = KnownIndex.of_questions(kept.questions[:1], index.chunks_of, model, cache)
    assert given.questions == kept.questions[:1]
    assert given.chunk_ids == kept.chunk_ids[:1]
    np.testing.assert_array_equal(given.vectors, kept.vectors[:1])
    asked = kept.questions[-1].text
    _, trace = retrieve(workspace, asked, "exact+questions")
    assert trace.asked_before == kept.questions[-1]
    _, trace = retrieve(workspace, asked, "exact+questions", known=given)
    assert trace.asked_before is None


def test_evaluation_holds_out_what_it_asks(workspace: Workspace, faq: Path) -> None:
    from rag_app.evaluate.evaluation import evaluate

    read_again(workspace, faq)
    retriever = Index(workspace, workspace.open()).as_retriever(top_k=10)
    pairs = [
        ("When are you open?", "From nine to six."),
        ("May I send it back?", "Within thirty days."),
    ]
    plain = Index(workspace, workspace.open()).as_retriever("vector", top_k=10)
    served = evaluate(retriever, pairs, verbatim=True)
    judged, answers = (evaluate(each, pairs) for each in (retriever, plain))
    assert served.scores["hit_rate@1"].mean == 1.0
    assert [one.rank for one in judged.outcomes] == [one.rank for one in answers.outcomes]


class Plane(WordModel):
    """Vectors in a plane, at the angle in degrees that a text ends with."""

    def _vector(self, text: str) -> Any:
        angle = np.deg2rad(float(text.split()[-1]))
        vector = np.zeros(self.dimension, np.float32)
        vector[:2] = np.cos(angle), np.sin(angle)
        return vector


def plane_view(angles: Sequence[float], documents: Sequence[str]) -> KnownIndex:
    questions = [
        KnownQuestion(f"q{number} about {name} {angle}", name)
        for number, (angle, name) in enumerate(zip(angles, documents, strict=True))
    ]
    vectors = Plane().embed_queries([one.text for one in questions])
    return KnownIndex(questions, [(name,) for name in documents], vectors)


def test_near_enough_is_nearer_than_questions_of_different_passages_are() -> None:
    # Sixty questions two degrees apart, save the first two: one degree.
    angles = [0.0, 1.0, *(2.0 * number for number in range(2, 60))]
    view = plane_view(angles, [f"d{number}" for number in range(60)])
    one_degree = float(np.cos(np.deg2rad(1.0)))
    assert view.enough == pytest.approx(one_degree + ROUNDING, abs=1e-6)

    def near(angle: float) -> list[int]:
        asked = Plane().embed_queries([f"new {angle}"])[0]
        return [
            int(row) for row in np.flatnonzero(view.asked_before(view.scores(Trace("n"), asked)))
        ]

    assert near(20.5) == [10]
    # One and a half degrees from both of its neighbours.
    assert near(2.5) == []


def test_questions_of_one_passage_do_not_say_what_is_near() -> None:
    angles = [angle for number in range(30) for angle in (6.0 * number, 6.0 * number + 0.1)]
    view = plane_view(angles, [f"d{number // 2}" for number in range(60)])
    assert view.enough == pytest.approx(float(np.cos(np.deg2rad(5.9))), abs=1e-4)


def test_rounding_takes_no_two_questions_for_each_other() -> None:
    # The first two are each other's nearest, and the threshold is their cosine.
    angles = [0.0, 1.0, *(2.0 * number for number in range(2, 60))]
    view = plane_view(angles, [f"d{number}" for number in range(60)])
    for row, other in ((0, 1), (1, 0)):
        question = view.questions[row].text
        # Embedded alone instead of beside the others, as a model does it.
        again = view.vectors[row] + 2e-7 * view.vectors[other]
        scores = view.scores(Trace(question), again, held_out=True)
        assert scores.argmax() == other
        assert not view.asked_before(scores).any()


def test_of_few_known_questions_only_the_same_words_count() -> None:
    view = plane_view([10.0, 50.0], ["a", "b"])
    vector = view.vectors[0]
    assert not view.asked_before(view.scores(Trace("another"), vector * 0.999)).any()
    assert view.asked_before(view.scores(Trace("Q0 about a 10.0?"), vector)).tolist() == [
        True,
        False,
    ]


def test_the_written_form_names_known_questions() -> None:
    options = RetrievalOptions.parse("hybrid:0.7+latest+questions")
    assert options.spec == "hybrid:0.7+questions+latest"
    assert RetrievalOptions.parse(options.spec) == options
    assert replace(options, questions=False).spec == "hybrid:0.7+latest"
