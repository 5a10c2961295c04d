"""Tables and code: what a chunk takes along of them, and what is no heading or question."""

from typing import Any

import pytest
from fakes import WordModel
from llama_index.core.schema import Document, TextNode

from rag_app.chunks import Chunking, SentenceChunker, passage_text
from rag_app.questions.extract import EXTRACTED, extract_questions
from rag_app.questions.rarity import Rarity
from rag_app.text.layout import Layout, without_code


def cut(text: str, *, size: int, overlap: int = 0, **metadata: Any) -> list[TextNode]:
    chunker = SentenceChunker.for_model(WordModel(), Chunking(size, overlap))
    document = Document(id_="d", text=text, metadata=metadata)
    nodes = chunker.get_nodes_from_documents([document])
    assert all(node.text == text[node.start_char_idx : node.end_char_idx] for node in nodes)
    return [node for node in nodes if isinstance(node, TextNode)]


HEADER = "| item | price |\n|------|-------|"
ROWS = [f"| item{n}. or so | {n} won |" for n in range(80)]
TABLE = "\n".join([HEADER, *ROWS])


@pytest.mark.parametrize("overlap", [0, 16])
def test_each_chunk_of_a_table_has_its_header(overlap: int) -> None:
    model = WordModel()
    nodes = cut(f"# Prices\n\n{TABLE}\n\nThat is all of it.", size=64, overlap=overlap, title="P")
    assert len(nodes) > 4
    assert nodes[0].text.startswith(f"# Prices\n\n{HEADER}\n| item0.")
    assert "table_header" not in nodes[0].metadata
    for node in nodes[1:-1]:
        assert node.metadata["table_header"] == HEADER
        assert passage_text(node) == f"P\n{HEADER}\n{node.text}"
        # No row is cut, though there are ends of sentences in it.
        assert set(node.text.split("\n")) <= {*ROWS, "", "That is all of it."}
    assert max(model.count_tokens([passage_text(node) for node in nodes])) <= 64
    found = {line for node in nodes for line in node.text.split("\n")}
    assert set(ROWS) <= found


def test_a_header_as_long_as_a_chunk_leaves_its_rows_half_of_it() -> None:
    # Of 16 tokens to a chunk the header has some thirty; a row alone is longer than half of them.
    header = "| " + " | ".join(f"column{n}" for n in range(12)) + " |\n" + "|--" * 12 + "|"
    rows = [f"| {' '.join(f'word{n}x{m}' for m in range(20))} |" for n in range(4)]
    nodes = cut("\n".join([header, *rows]), size=16)
    assert len(nodes) > len(rows)
    words = {word for node in nodes for word in node.text.split()}
    assert {f"word{n}x{m}" for n in range(4) for m in range(20)} <= words


def test_what_is_a_table() -> None:
    tables = {
        "a | b\n--- | ---\n1 | 2": "a | b\n--- | ---\n",
        "| a |\n|---|\n| 1 |": "| a |\n|---|\n",
        "| a | b |\r\n| :-- | --: |\n| 1 | 2 |".replace("\r", ""): "| a | b |\n| :-- | --: |\n",
    }
    for text, header in tables.items():
        (table,) = Layout.of(text).tables
        assert text[table.start : table.body] == header
        assert table.end == len(text)
    for text in (
        "a | b\n1 | 2",
        "heading\n---\ntext | more",
        "```\na | b\n--- | ---\n1 | 2\n```",
        "--- | ---\n1 | 2",
    ):
        assert Layout.of(text).tables == []


def test_text_in_fences_is_code() -> None:
    text = "one\n```sh\n# a\n~~~\n```\ntwo\n~~~~\n```\n~~~~ x\n# b\n~~~~\nthree `x`\n```a`b\nfour"
    kept = without_code(text)
    assert kept == "one\ntwo\nthree `x`\n```a`b\nfour"
    layout = Layout.of(text)
    assert [text[start:end].split("\n")[0] for start, end in layout.code] == ["```sh", "~~~~"]
    assert layout.in_code(text.index("# b"))
    assert not layout.in_code(text.index("```sh"))
    assert without_code("# a\n```\nafter", begins_in_code=True) == "after"
    assert without_code("# a\nb", begins_in_code=True) == ""
    assert without_code("a\n```\nb") == "a\n"


CODE = (
    "```sh\n" + "".join(f"# build part {n}\nmake part{n} everything\n" for n in range(20)) + "```\n"
)
GUIDE = (
    f"# Deploying\n\nRead this before the deployment starts.\n\n{CODE}\n"
    "## Rolling back\n\nUndo it all.\n"
)


def test_a_long_word_is_several_chunks() -> None:
    for text in ("0123456789abcdef" * 375, "ภาษาไทยไม่มีช่องว่าง" * 100):
        nodes = cut(text, size=256)
        # A word that a tokenizer does not know is one token to it; here four letters are.
        assert len(nodes) == -(-len(text) // 4 // 256)
        assert "".join(node.text for node in nodes) == text


def test_a_chunk_over_two_pages_names_both() -> None:
    text = "\n\n".join(" ".join(f"{letter}{n}" for n in range(20)) for letter in "abc")
    starts = str([text.index("a0"), text.index("b0"), text.index("c0")])
    nodes = cut(text.replace("\n\n", " \n"), size=24, page_starts=starts)
    places = [(n.metadata["page"], n.metadata.get("page_end")) for n in nodes]
    assert places == [(1, None), (2, None), (3, None)]
    nodes = cut(text.replace("\n\n", "  "), size=24, page_starts=starts)
    places = [(n.metadata["page"], n.metadata.get("page_end")) for n in nodes]
    assert places == [(1, 2), (2, 3), (3, None)]


def test_comments_in_code_are_no_headings_and_no_questions() -> None:
    nodes = cut(GUIDE, size=48, title="Deploying")
    assert len(nodes) > 2
    assert any(node.metadata.get("begins_in_code") for node in nodes)
    rarity = Rarity(node.text for node in nodes)
    questions = [
        one.text for node in nodes for one in extract_questions(node, rarity, 20, styles=EXTRACTED)
    ]
    assert "Deploying Rolling back" in questions
    assert [one for one in questions if "build" in one or "make" in one] == []
