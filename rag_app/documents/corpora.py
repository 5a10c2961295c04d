"""Corpora of retrieval datasets: BEIR's corpus.jsonl, LlamaIndex's EmbeddingQAFinetuneDataset."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from rag_app.documents.content import Content
from rag_app.documents.json_lines import json_objects, object_table
from rag_app.documents.sources import Source, refuse_endless
from rag_app.documents.tables import has_rows, holds_labels, table_contents, text_part
from rag_app.errors import DocumentError
from rag_app.text.normalise import decode, normalise

_CORPUS_KEYS = ("_id", "text", "title", "metadata")


def read_jsonl(source: Source) -> list[Content]:
    """Read questions and answers, or a corpus; of queries and labelled pairs, nothing."""
    objects = json_objects(source)
    table = object_table(objects)
    if _holds_queries(source) or holds_labels(table, source):
        return []
    if "text" in table.columns and not has_rows(table, source):
        return _once(_passage(passage) for passage in objects)
    return table_contents([table], source)


def read_json(source: Source) -> list[Content]:
    """Read the corpus of an EmbeddingQAFinetuneDataset; of other JSON, nothing."""
    try:
        dataset = json.loads(decode(source.read_bytes()))
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"is not JSON ({error}); mend or remove it") from None
    if not isinstance(dataset, dict) or not {"queries", "corpus", "relevant_docs"} <= set(dataset):
        return []
    corpus = dataset["corpus"]
    if not isinstance(corpus, dict):
        raise DocumentError('holds a "corpus" that does not map ids to texts; save it again')
    return _once(_passage({"_id": key, "text": text}) for key, text in corpus.items())


def _holds_queries(source: Source) -> bool:
    path = source.path
    return path.name.lower() == "queries.jsonl" and path.with_name("corpus.jsonl").exists()


def _passage(passage: dict[str, Any]) -> Content:
    title = normalise(str(passage.get("title") or ""))
    body = str(passage.get("text") or "")
    refuse_endless(body)
    text = normalise(body) or title
    inner = passage.get("metadata")
    fields = {key: value for key, value in passage.items() if key not in _CORPUS_KEYS}
    return Content(
        text,
        kind="text",
        title=title,
        fields=(inner if isinstance(inner, dict) else {}) | fields,
        part=normalise(str(passage.get("_id", ""))) or text_part(text),
    )


def _once(passages: Iterable[Content]) -> list[Content]:
    """Drop passages without text, and those that come again; one id for two texts is refused."""
    by_id: dict[str | None, Content] = {}
    counts: Counter[str | None] = Counter()
    for passage in passages:
        counts[passage.part] += bool(passage.text)
        if passage.text and by_id.setdefault(passage.part, passage).text != passage.text:
            raise DocumentError(f"has two texts with the id {passage.part}; give each its own")
    if not by_id:
        raise DocumentError("holds no text; write some into it or remove it")
    return [replace(passage, merged=counts[part] - 1) for part, passage in by_id.items()]
