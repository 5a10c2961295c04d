"""Sentences end where readers would say; chunks are exact spans that fit the model."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import MINILM, ROOT
from fakes import WordModel
from llama_index.core.schema import Document, MetadataMode, NodeRelationship, TextNode

from rag_app.chunks import (
    Chunking,
    SentenceChunker,
    TokenSpans,
    document_hash,
    passage_text,
    windows,
)
from rag_app.documents import read_documents
from rag_app.models import EmbeddingModel, load_model
from rag_app.text.sentences import split_by_rules

SAMPLES = [
    ROOT / "data/ko/account/two-step-setup.md",
    ROOT / "data/ko/lock/set-passcode.md",
    ROOT / "data/en/account/two-step-setup.md",
    ROOT / "data/en/air/air-1-error-codes.md",
]


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in split_by_rules(text)]


def words(prefix: str, count: int) -> str:
    """A sentence of `count` words: a0 a1 a2."""
    return " ".join(f"{prefix}{i}" for i in range(count)) + "."


def document(text: str, **metadata: Any) -> Document:
    return Document(id_="docs/a.md", text=text, metadata=metadata)


def cut(
    source: Document,
    *,
    size: int,
    overlap: int = 0,
    model: WordModel | EmbeddingModel | None = None,
) -> list[TextNode]:
    chunker = SentenceChunker.for_model(model or WordModel(), Chunking(size, overlap))
    return list(chunker.get_nodes_from_documents([source]))


def check_spans(source: Document, nodes: Sequence[TextNode]) -> None:
    for node in nodes:
        assert source.text[node.start_char_idx : node.end_char_idx] == node.text
        assert node.text == node.text.strip() != ""


def check_nothing_lost(source: Document, nodes: Sequence[TextNode]) -> None:
    covered = {place for n in nodes for place in range(n.start_char_idx or 0, n.end_char_idx or 0)}
    lost = [c for i, c in enumerate(source.text) if i not in covered and not c.isspace()]
    assert lost == []


# Sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It works. Try it! Does it? Yes…", ["It works.", "Try it!", "Does it?", "Yes…"]),
        ("전원을 켜세요. 불이 들어오나요? 네!", ["전원을 켜세요.", "불이 들어오나요?", "네!"]),
        ('He said "stop." Then he left.', ['He said "stop."', "Then he left."]),
        ("“멈춰요.” 그가 말했다.", ["“멈춰요.”", "그가 말했다."]),
        ("(See page 4.) Go on.", ["(See page 4.)", "Go on."]),
        ("请关机。然后重启！好了吗？是。", ["请关机。", "然后重启！", "好了吗？", "是。"]),
        ("他说「停。」然后走了。", ["他说「停。」", "然后走了。"]),
        ("Version 2.5 costs 3.50 today. Buy it.", ["Version 2.5 costs 3.50 today.", "Buy it."]),
        ("See example.com now", ["See example.com now"]),
        ("# Heading\n\nFirst line\nsecond line", ["# Heading", "First line", "second line"]),
        ("", []),
        (" \n\n \n", []),
    ],
)
def test_sentences_end_at_closing_marks_and_line_ends(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "1. Open the app.\n2. Press it.\n12. Wait.",
            ["1. Open the app.", "2. Press it.", "12. Wait."],
        ),
        ("3. 앱을 여세요. 4. 누르세요.", ["3. 앱을 여세요.", "4. 누르세요."]),
        ("a. First. b. Second.", ["a. First.", "b. Second."]),
        ("- 1. Nested. Then more.", ["- 1. Nested.", "Then more."]),
        ("It was 2023. Then came 2024.", ["It was 2023.", "Then came 2024."]),
    ],
)
def test_a_list_mark_stays_with_its_item(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@pytest.mark.parametrize(
    "sentence",
    [
        "이 규정은 2024. 3. 5. 부터 시행한다.",
        "2024. 3. 5.(화) 09:00에 시작한다.",
        "See No. 7 of the list.",
        "Ask Dr. Kim or Mrs. Lee.",
        "Acme Inc. is a company.",
        "It opens at 9 a.m. on Mondays.",
        "Use a filter, e.g. by date (Fig. 3).",
    ],
)
def test_stops_of_dates_and_abbreviations_end_no_sentence(sentence: str) -> None:
    assert sentences(f"{sentence} Then more. 그리고 끝.") == [sentence, "Then more.", "그리고 끝."]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("They sold it to Acme Inc. The price fell.", 2),
        ("We close at 5 p.m. Come early.", 2),
        ("The answer is no. Ask again.", 2),
        ("It was 2023. Then came more.", 2),
    ],
)
def test_such_stops_end_a_sentence_where_the_next_begins(text: str, expected: int) -> None:
    assert len(sentences(text)) == expected


# Chunks


@pytest.fixture(scope="module")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> EmbeddingModel:
    return load_model(MINILM, storage=tmp_path_factory.mktemp("storage"), device="cpu")


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: "/".join(path.parts[-3:]))
@pytest.mark.parametrize(("size", "overlap"), [(32, 0), (64, 16), (128, 64)])
def test_chunks_of_sample_documents_are_exact_and_fit(path: Path, size: int, overlap: int) -> None:
    (source,) = read_documents([path]).documents
    model = WordModel()
    nodes = cut(source, size=size, overlap=overlap)
    check_spans(source, nodes)
    check_nothing_lost(source, nodes)
    assert len(nodes) > 1
    assert max(model.count_tokens([passage_text(node) for node in nodes])) <= size


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: "/".join(path.parts[-3:]))
def test_chunks_fit_as_the_real_model_counts(path: Path, minilm: EmbeddingModel) -> None:
    (source,) = read_documents([path]).documents
    nodes = cut(source, size=128, overlap=32, model=minilm)
    check_spans(source, nodes)
    check_nothing_lost(source, nodes)
    counts = minilm.count_tokens([passage_text(node) for node in nodes])
    assert max(counts) <= 128
    # Not met by cutting needlessly small: one more sentence would not have fitted most chunks.
    assert sum(counts) > 0.5 * 128 * (len(counts) - 1)


def test_sentences_are_packed_until_the_next_would_not_fit() -> None:
    text = " ".join([words("a", 8), words("b", 8), words("c", 1), words("d", 16)])
    nodes = cut(document(text), size=16)
    assert [node.text for node in nodes] == [
        f"{words('a', 8)} {words('b', 8)}",
        words("c", 1),
        words("d", 16),
    ]


def test_neighbours_share_whole_sentences_of_at_most_the_overlap() -> None:
    parts = [words(letter, 4) for letter in "abcdefgh"]
    nodes = cut(document(" ".join(parts)), size=16, overlap=7)
    # 4 + 4 > 7, so one sentence of 4 is shared: abcd, defg, gh.
    assert [node.text for node in nodes] == [
        " ".join(parts[0:4]),
        " ".join(parts[3:7]),
        " ".join(parts[6:8]),
    ]


def test_no_overlap_means_none() -> None:
    text = " ".join(words(letter, 4) for letter in "abcdefgh")
    nodes = cut(document(text), size=16, overlap=0)
    for before, behind in itertools.pairwise(nodes):
        assert (before.end_char_idx or 0) <= (behind.start_char_idx or 0)


def test_overlap_is_at_most_what_was_asked_on_real_text() -> None:
    (source,) = read_documents([SAMPLES[0]]).documents
    shared = []
    for before, behind in itertools.pairwise(cut(source, size=64, overlap=16)):
        common = source.text[behind.start_char_idx : before.end_char_idx]
        shared.append(len(common.split()))
    assert max(shared) <= 16
    assert any(shared)


def test_a_heading_goes_with_what_it_announces() -> None:
    text = f"{words('a', 10)}\n\n# Part\n## Sub part\n\n{words('b', 9)}"
    nodes = cut(document(text), size=16)
    assert [node.text for node in nodes] == [
        words("a", 10),
        f"# Part\n## Sub part\n\n{words('b', 9)}",
    ]


def test_a_heading_at_the_documents_end_is_not_lost() -> None:
    text = f"{words('a', 10)}\n\n# Part"
    assert [node.text for node in cut(document(text), size=16)] == [text]


def test_a_sentence_longer_than_a_chunk_is_cut_between_words() -> None:
    source = document(words("w", 50))
    nodes = cut(source, size=16)
    assert [len(node.text.split()) for node in nodes] == [16, 16, 16, 2]
    assert " ".join(node.text for node in nodes) == source.text
    check_spans(source, nodes)


def test_a_run_without_blanks_is_cut_all_the_same(minilm: EmbeddingModel) -> None:
    source = document("请重新启动设备然后等待" * 30)  # 330 characters, a token each
    nodes = cut(source, size=32, model=minilm)
    check_spans(source, nodes)
    check_nothing_lost(source, nodes)
    # 32 less [CLS] and [SEP] are 30 a chunk.
    assert [len(node.text) for node in nodes] == [30] * 11


def test_paragraphs_that_repeat_keep_their_own_places() -> None:
    paragraph = words("same", 12)
    source = document("\n\n".join([paragraph] * 5))
    nodes = cut(source, size=16)
    step = len(paragraph) + 2
    assert [node.start_char_idx for node in nodes] == [0, step, 2 * step, 3 * step, 4 * step]
    check_spans(source, nodes)
    assert len({node.node_id for node in nodes}) == 5


def test_ids_are_the_same_in_every_run_and_tell_documents_apart() -> None:
    text = "\n".join(words(letter, 12) for letter in "abc")
    first = [node.node_id for node in cut(document(text, title="T"), size=16)]
    assert first == [node.node_id for node in cut(document(text, title="T"), size=16)]
    other = Document(id_="docs/b.md", text=text, metadata={"title": "T"})
    assert not set(first) & {node.node_id for node in cut(other, size=16)}
    # What is embedded changes with the title, so the id must; other metadata is not embedded.
    retitled = cut(document(text, title="U"), size=16)
    assert not set(first) & {node.node_id for node in retitled}
    dated = cut(document(text, title="T", date="2024-01-01"), size=16)
    assert first == [node.node_id for node in dated]


def test_an_id_does_not_depend_on_the_process() -> None:
    (node,) = cut(document("one two."), size=16)
    # printf 'docs/a.md\0000\0008\000one two.' | sha256sum | cut -c1-32
    assert node.node_id == "9542b3c07e435ef6272e9a8026a91135"


def test_pages_are_those_on_which_chunks_begin() -> None:
    pages = [words("a", 10), words("b", 10), "", words("c", 10)]
    text = "\n\n".join(page for page in pages if page)
    starts = [0, len(pages[0]) + 2, len(text) - len(pages[3]) - 2, text.index("c0")]
    nodes = cut(document(text, page_starts=str(starts)), size=16)
    # The third page is empty: it begins where the text before it ends.
    assert [node.metadata["page"] for node in nodes] == [1, 2, 4]
    assert all("page_starts" not in node.metadata for node in nodes)


def test_a_document_without_pages_has_no_page_numbers() -> None:
    (node,) = cut(document("one two."), size=16)
    assert "page" not in node.metadata


def test_chunks_are_counted_numbered_and_linked() -> None:
    source = document("\n".join(words(letter, 12) for letter in "abc"))
    nodes = cut(source, size=16)
    assert [node.metadata["chunk_index"] for node in nodes] == [0, 1, 2]
    assert [node.metadata["chunk_count"] for node in nodes] == [3, 3, 3]
    assert {node.metadata["document_hash"] for node in nodes} == {document_hash(source)}
    assert {node.ref_doc_id for node in nodes} == {source.node_id}
    following = nodes[0].relationships[NodeRelationship.NEXT]
    assert following.node_id == nodes[1].node_id
    assert NodeRelationship.NEXT not in nodes[2].relationships
    assert NodeRelationship.PREVIOUS not in nodes[0].relationships


def test_the_title_is_embedded_and_counted_and_nothing_else_is() -> None:
    source = document(words("a", 30), title="Two words", path="/x/a.md", tag="secret")
    nodes = cut(source, size=16)
    assert passage_text(nodes[0]) == f"Two words\n{nodes[0].text}"
    assert nodes[0].get_content(metadata_mode=MetadataMode.LLM) == passage_text(nodes[0])
    # 16 less the title's 2 leave 14 words a chunk: 14 + 14 + 2.
    assert [len(node.text.split()) for node in nodes] == [14, 14, 2]
    assert nodes[0].metadata["tag"] == "secret"


def test_without_a_title_the_text_alone_is_embedded() -> None:
    (node,) = cut(document("one two.", tag="x"), size=16)
    assert passage_text(node) == "one two."


def test_a_title_as_long_as_a_chunk_leaves_the_text_half_of_it() -> None:
    nodes = cut(document(words("a", 16), title=words("t", 40)), size=16)
    assert [len(node.text.split()) for node in nodes] == [8, 8]


def test_the_hash_changes_with_text_and_metadata() -> None:
    base = document_hash(document("one", title="T"))
    assert base == document_hash(document("one", title="T"))
    assert base != document_hash(document("two", title="T"))
    assert base != document_hash(document("one", title="U"))
    assert base != document_hash(document("one", title="T", date="2024-01-01"))


def test_a_long_text_is_tokenized_in_windows_to_the_same_places() -> None:
    tokenizer = WordModel().tokenizer
    text = "\n".join(f"line {n} of the text with words" for n in range(200)) + "x" * 300 + " end"
    whole = TokenSpans(tokenizer, text, window=len(text))
    for window in (50, 333, 1000):
        parts = list(windows(text, window))
        assert [start for start, _ in parts[1:]] == [end for _, end in parts[:-1]]
        assert (parts[0][0], parts[-1][1]) == (0, len(text))
        assert max(end - start for start, end in parts) <= window
    assert list(TokenSpans(tokenizer, text, window=1000).starts) == list(whole.starts)
