"""Larger pieces around small chunks: what they say stands where they say it stands."""

from collections.abc import Sequence
from typing import Any

import pytest
from conftest import ROOT
from fakes import WordModel
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import Document, NodeWithScore, QueryBundle, TextNode

from rag_app.chunks import Chunking, SentenceChunker, chunks_by_document, passage_text
from rag_app.documents import read_documents
from rag_app.evaluate.invariants import check_invariants
from rag_app.evaluate.scoring import Outcome, score_questions
from rag_app.pairs import Question
from rag_app.retrieve.context import COVERS, LargerContext, covered
from rag_app.retrieve.trace import Ranking

# With the title's two tokens each sentence is a chunk of five tokens; blanks and lines between.
TEXT = "One is here.  Two is here. Three is here.\n\n\nFour is here. Five is here.\tSix is here. \n"


def cut(*documents: Document, size: int = 5, overlap: int = 0) -> list[TextNode]:
    chunker = SentenceChunker.for_model(WordModel(), Chunking(size, overlap))
    nodes: list[TextNode] = chunker.get_nodes_from_documents(documents)
    return nodes


def document(name: str = "d", text: str = TEXT) -> Document:
    return Document(id_=name, text=text, metadata={"title": f"About {name}", "language": "en"})


CHUNKS = cut(document())


def found(*places: int, chunks: Sequence[TextNode] = CHUNKS) -> Ranking:
    """Chunks by their place, from 0, as a search ranked them."""
    return [NodeWithScore(node=chunks[place], score=1 - n / 100) for n, place in enumerate(places)]


def enlarge(
    hits: Ranking, kind: str, size: int, *, top_k: int = 9, chunks: Sequence[TextNode] = CHUNKS
) -> Ranking:
    groups = chunks_by_document(chunks)
    context = LargerContext(kind, size=size, top_k=top_k, chunks_of=lambda name: groups[name])
    pieces: Ranking = context.postprocess_nodes(hits)
    return pieces


def places(hits: Ranking, chunks: Sequence[TextNode] = CHUNKS) -> list[list[int]]:
    """Places of the chunks that each piece is made of."""
    numbers = {chunk.node_id: number for number, chunk in enumerate(chunks)}
    return [[numbers[chunk_id] for chunk_id in covered(hit.node)] for hit in hits]


def test_the_chunks_of_these_tests() -> None:
    assert [chunk.text for chunk in CHUNKS] == [
        f"{number} is here." for number in ("One", "Two", "Three", "Four", "Five", "Six")
    ]


@pytest.mark.parametrize(
    ("kind", "size", "expected"),
    [
        ("window", 1, [[0, 1], [1, 2, 3], [4, 5]]),
        ("window", 2, [[0, 1, 2], [0, 1, 2, 3, 4], [3, 4, 5]]),
        ("window", 100, [[0, 1, 2, 3, 4, 5]] * 3),
        ("parent", 1, [[0], [2], [5]]),
        ("parent", 2, [[0, 1], [2, 3], [4, 5]]),
        ("parent", 4, [[0, 1, 2, 3], [0, 1, 2, 3], [4, 5]]),
        ("parent", 100, [[0, 1, 2, 3, 4, 5]] * 3),
    ],
)
def test_which_chunks_a_piece_is_made_of(kind: str, size: int, expected: list[list[int]]) -> None:
    alone = [places(enlarge(found(place), kind, size)) for place in (0, 2, 5)]
    assert alone == [[piece] for piece in expected]


def test_a_piece_by_hand() -> None:
    [piece] = enlarge(found(2), "window", 1)
    assert piece.node.text == "Two is here. Three is here.   Four is here."
    assert (piece.node.start_char_idx, piece.node.end_char_idx) == (14, 57)
    assert TEXT[14:57] == "Two is here. Three is here.\n\n\nFour is here."
    assert piece.node.node_id == CHUNKS[2].node_id
    assert piece.score == 1
    assert piece.node.ref_doc_id == "d"
    assert piece.node.metadata[COVERS] == [chunk.node_id for chunk in CHUNKS[1:4]]
    # For the program only: neither an embedding nor a language model reads it.
    assert passage_text(piece.node) == f"About d\n{piece.node.text}"
    assert COVERS in piece.node.excluded_llm_metadata_keys


def test_what_was_found_is_not_changed() -> None:
    hits = found(2, 0)
    enlarge(hits, "window", 1)
    assert [hit.node.text for hit in hits] == ["Three is here.", "One is here."]
    assert all(COVERS not in hit.node.metadata for hit in hits)
    assert covered(hits[0].node) == [CHUNKS[2].node_id]


def check_places(
    kind: str, size: int, documents: Sequence[Document], chunks: list[TextNode]
) -> int:
    """Every piece of every chunk says what its document says there; how many there are."""
    texts = {each.doc_id: each.text for each in documents}
    for chunk in chunks:
        [hit] = enlarge([NodeWithScore(node=chunk, score=1.0)], kind, size, chunks=chunks)
        start, end = hit.node.start_char_idx, hit.node.end_char_idx
        said, text = hit.node.text, texts[hit.node.ref_doc_id][start:end]
        assert len(said) == len(text) == end - start
        assert [a for a, b in zip(said, text, strict=True) if a != b and not b.isspace()] == []
        assert start <= chunk.start_char_idx <= chunk.end_char_idx <= end
        assert said[chunk.start_char_idx - start :][: len(chunk.text)] == chunk.text
    return len(chunks)


KINDS = [("window", 1), ("window", 4), ("parent", 2), ("parent", 5), ("parent", 100)]


@pytest.mark.parametrize(("kind", "size"), KINDS)
@pytest.mark.parametrize("overlap", [0, 12])
@pytest.mark.parametrize("folder", ["en/orders", "ko/returns"])
def test_places_are_exact_in_sample_documents(
    kind: str, size: int, overlap: int, folder: str
) -> None:
    documents = read_documents([ROOT / "data" / folder]).documents
    chunks = cut(*documents, size=24, overlap=overlap)
    assert check_places(kind, size, documents, chunks) > 50


@pytest.mark.parametrize(("kind", "size"), KINDS)
def test_places_are_exact_in_odd_texts(kind: str, size: int) -> None:
    texts = [
        TEXT,
        "\n\n  Blanks before. \u00a0\u3000 Wide blanks between. And after.   \n\n",
        "Same words. Same words. Same words. Same words. Same words.",
        "이모지 🐈‍⬛ 있음. 다음 문장. 𝒳 밖의 글자.\r\n\r\n끝 문장.",
        "# Heading\n\n## Another\n\nA sentence that is much longer than five tokens are, you see.",
        "word",
    ]
    documents = [document(f"d{n}", text) for n, text in enumerate(texts)]
    for wide, overlap in ((5, 0), (8, 3)):
        chunks = cut(*documents, size=wide, overlap=overlap)
        check_places(kind, size, documents, chunks)


@pytest.mark.parametrize("kind", ["window", "parent"])
def test_two_chunks_of_one_piece_are_one_and_another_fills_its_place(kind: str) -> None:
    # 0 and 1 lie in one piece of either kind, 3 and 4 are of other pieces.
    hits = found(0, 1, 3, 5)
    size = {"window": 1, "parent": 2}[kind]
    pieces = enlarge(hits, kind, size, top_k=2)
    assert (
        places(pieces)
        == {
            "window": [[0, 1], [2, 3, 4]],
            "parent": [[0, 1], [2, 3]],
        }[kind]
    )
    assert [piece.score for piece in pieces] == [1, 0.98]
    assert len(enlarge(hits, kind, size)) == 3


def test_windows_share_a_neighbour_but_no_found_chunk() -> None:
    # 2 is beside both; 1 and 3 were not in the other's window.
    assert places(enlarge(found(1, 3, 2), "window", 1)) == [[0, 1, 2], [2, 3, 4]]


def test_documents_are_kept_apart() -> None:
    chunks = cut(document("a"), document("b"))
    hits = found(5, 6, chunks=chunks)
    for kind in ("window", "parent"):
        pieces = enlarge(hits, kind, 100, chunks=chunks)
        assert [piece.node.ref_doc_id for piece in pieces] == ["a", "b"]
        assert places(pieces, chunks) == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]


def test_a_chunk_that_its_document_has_no_more_stands_alone() -> None:
    [piece] = enlarge(found(2), "window", 1, chunks=cut(document(), size=8))
    assert (piece.node.text, covered(piece.node)) == ("Three is here.", [CHUNKS[2].node_id])


def test_nothing_in_nothing_out() -> None:
    assert enlarge([], "window", 1) == enlarge([], "parent", 3) == []


# Scoring


class Enlarging(BaseRetriever):
    """Finds these chunks and returns the pieces around them."""

    def __init__(self, found: Ranking, kind: str, size: int) -> None:
        self.found = found
        self.kind = kind
        self.size = size
        super().__init__()

    def _retrieve(self, query_bundle: QueryBundle, **_: Any) -> Ranking:
        if not self.size:
            return self.found
        return enlarge(self.found, self.kind, self.size)


def scored(*gold: set[int], of: Ranking, kind: str = "window", size: int = 0) -> Outcome:
    """What a question with answers in these places scores."""
    answers = tuple(frozenset(CHUNKS[place].node_id for place in places) for places in gold)
    question = Question("q", "?", answers, "d")
    [outcome] = score_questions(Enlarging(of, kind, size), [question])
    check_invariants([outcome])
    return outcome


def test_a_piece_that_covers_the_answer_is_a_hit() -> None:
    hits = found(5, 2)
    assert scored({3}, of=hits).rank is None
    assert scored({3}, of=hits, size=1).rank == 2
    assert scored({3}, of=hits, size=1).values["mrr@10"] == 1 / 2
    # 3 is in the window of 5 too.
    assert scored({3}, of=hits, size=2).rank == 1
    assert scored({3}, of=hits, kind="parent", size=2).rank == 2
    assert scored({1}, of=hits, kind="parent", size=2).rank is None


def test_the_found_chunk_is_what_is_kept() -> None:
    outcome = scored({3}, of=found(5, 2), size=1)
    assert outcome.retrieved == [CHUNKS[5].node_id, CHUNKS[2].node_id]
    assert outcome.scores == [1, 0.99]
    assert outcome.gold == [[CHUNKS[3].node_id]]


def test_a_piece_with_two_answers_finds_both() -> None:
    outcome = scored({1}, {3}, of=found(2, 5), size=1)
    assert (outcome.rank, outcome.values["ndcg@10"]) == (1, 1)
    # One answer that two pieces hold is one find.
    assert scored({2, 3}, of=found(1, 4), size=1).values["ndcg@10"] == 1
