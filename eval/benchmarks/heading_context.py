"""What the headings above a chunk would bring, put before its text with the document's title.

    python eval/benchmarks/heading_context.py [--corpus sample-en]

The samples' articles have sections; of the encyclopaedia articles of KorQuAD and XQuAD, which come
without any, the title is put before chunks that have none. Both sides have the same chunks, cut so
that the headings still fit into what the model reads; only what is embedded and searched by words
differs. All labelled questions, exact search; change of MRR@10, paired by question. What is done is
kept in eval/results/heading_context.json; a run that was stopped goes on.
"""

import argparse
import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from corpora import KORQUAD, RESULTS, XQUAD, Corpus, load, write_results
from held_out import settings_for, show
from llama_index.core.schema import TextNode
from outcomes import changes, interval

from rag_app.chunks import passage_text
from rag_app.cli.given import index_options_of, workspace_of
from rag_app.environment import prepare_environment
from rag_app.evaluate.scoring import Outcome, score_questions
from rag_app.index import OpenIndex, Passages, Workspace
from rag_app.ingest.request import IngestRequest
from rag_app.ingest.stage import ingest
from rag_app.pairs import (
    Question,
    build_questions,
    document_texts,
    match_questions,
    read_questions,
    split_pairs,
)
from rag_app.retrieve import RetrievalOptions, Searched, Tools, build_retriever
from rag_app.text.layout import Layout

NAME = "heading_context"
SEED = 13
CORPORA = ("sample-en", "sample-ko", "xquad-en", "korquad")
# MiniLM reads 256 tokens, of which headings take up to 32.
SIZES = {"sample-en": (64, 128, 224), "sample-ko": (64, 128, 224)}
LARGEST = 224
RETRIEVERS = ("vector", "keyword", "hybrid:equal")
TITLES = {"xquad-en": XQUAD, "korquad": KORQUAD}
_HEADING = re.compile(r"^(?P<marks>#{1,6}) +(?P<text>.+?) *#*$", re.M)
Titled = Callable[[TextNode], str]


def main() -> None:
    """Measure what is missing, print the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", action="append", choices=CORPORA)
    arguments = parser.parse_args()
    prepare_environment()
    path = RESULTS / f"{NAME}.json"
    done: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    for name in arguments.corpus or CORPORA:
        for size in SIZES.get(name, (LARGEST,)):
            key = f"{name} {size}"
            if key not in done:
                done[key] = measured(load(name), size)
                write_results(NAME, done)
    for key, row in done.items():
        cells = (f"{row[one]['before']:.3f}, {row[one]['change']}" for one in RETRIEVERS)
        print(f"| {key} | {row['questions']} | {row['changed']:.2f} | {' | '.join(cells)} |")


def measured(corpus: Corpus, size: int) -> dict[str, Any]:
    """Both sides of one corpus and chunk size, with each retriever."""
    settings = settings_for(corpus, SEED).model_copy(
        update={"chunk_size": size, "chunk_overlap": size // 8}
    )
    workspace = workspace_of(settings)
    request = IngestRequest([corpus.documents], options=index_options_of(settings))
    opened = workspace.open(ingest(workspace, request, progress=show).index)
    nodes = opened.index.passages().nodes
    before, after = titles_of(corpus, nodes)
    first, second = ([retitled(node, side(node)) for node in nodes] for side in (before, after))
    asked = questions_of(corpus, nodes)
    row: dict[str, Any] = {
        "model": corpus.model,
        "chunks": len(nodes),
        "questions": len(asked),
        "changed": sum(map(differ, first, second)) / len(nodes),
    }
    sides = [searched(workspace, opened, some) for some in (first, second)]
    for retriever in RETRIEVERS:
        both = [outcomes(workspace, side, retriever, asked) for side in sides]
        change = changes(*both, seed=SEED)["mrr@10"]
        means = [sum(one.values["mrr@10"] for one in side) / len(side) for side in both]
        row[retriever] = {
            "before": round(means[0], 4),
            "after": round(means[1], 4),
            "change": interval(change),
            "p": round(change.p, 4),
        }
        print(corpus.name, size, retriever, row[retriever], flush=True)
    return row


def titles_of(corpus: Corpus, nodes: Sequence[TextNode]) -> tuple[Titled, Titled]:
    """What stands before a chunk on either side."""
    if corpus.name in TITLES:
        articles = json.loads(TITLES[corpus.name].read_text("utf-8"))["data"]
        titles = [article["title"].replace("_", " ") for article in articles]
        return lambda node: "", lambda node: titles[int(node.metadata["title"])]
    paths = {
        document: list(heading_paths(text)) for document, text in document_texts(nodes).items()
    }

    def with_path(node: TextNode) -> str:
        """The title, and the sections that the chunk's beginning lies in."""
        found: Sequence[str] = ()
        for start, end, path in paths[node.ref_doc_id or ""]:
            if start < node.start_char_idx < end:
                found = path
        return " > ".join([*title_of(node), *found])

    return lambda node: "".join(title_of(node)), with_path


def title_of(node: TextNode) -> list[str]:
    """The document's title; the rows of an FAQ have none."""
    title = node.metadata.get("title")
    return [str(title)] if title else []


def heading_paths(text: str) -> Iterator[tuple[int, int, list[str]]]:
    """Begin, end and headings of each section, those it lies in before its own.

    >>> list(heading_paths("# A\\n## B\\nb\\n# C\\nc"))
    [(0, 4, ['A']), (4, 11, ['A', 'B']), (11, 16, ['C'])]
    """
    layout = Layout.of(text)
    found = [match for match in _HEADING.finditer(text) if not layout.in_code(match.start())]
    open_: list[tuple[int, str]] = []
    for number, match in enumerate(found):
        level = len(match["marks"])
        open_ = [one for one in open_ if one[0] < level] + [(level, match["text"])]
        end = found[number + 1].start() if number + 1 < len(found) else len(text)
        yield match.start(), end, [heading for _, heading in open_]


def retitled(node: TextNode, title: str) -> TextNode:
    """The node with another title."""
    metadata = {key: value for key, value in node.metadata.items() if key != "title"}
    return node.model_copy(update={"metadata": {"title": title, **metadata} if title else metadata})


def differ(first: TextNode, second: TextNode) -> bool:
    """Whether other texts are embedded."""
    return passage_text(first) != passage_text(second)


def questions_of(corpus: Corpus, nodes: Sequence[TextNode]) -> list[Question]:
    """All labelled questions."""
    pairs = match_questions(read_questions(corpus.questions), nodes).pairs
    clusters = split_pairs(
        pairs, document_texts(nodes), seed=SEED, dev_share=0.0, test_share=0.5
    ).clusters
    return build_questions(pairs, nodes, clusters)


def searched(workspace: Workspace, opened: OpenIndex[Any], nodes: list[TextNode]) -> Searched:
    """The nodes in memory with their vectors."""
    texts = [passage_text(node) for node in nodes]
    vectors = workspace.cache.embed_passages(opened.model, texts)
    return Searched(opened.index, opened.model, Passages(nodes, vectors), workspace.cache)


def outcomes(
    workspace: Workspace, side: Searched, spec: str, asked: Sequence[Question]
) -> list[Outcome]:
    """Of each question with one retriever."""
    options = RetrievalOptions().with_spec(spec)
    retriever = build_retriever(side, options, top_k=10, tools=Tools.of(workspace))
    return score_questions(retriever, asked)


if __name__ == "__main__":
    main()
