"""JSON: arrays of questions and answers, and corpora of retrieval datasets.

BEIR's corpus.jsonl, LlamaIndex's EmbeddingQAFinetuneDataset.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rag_app.documents.columns import holds_labels
from rag_app.documents.content import Content
from rag_app.documents.json_lines import Numbered, cell_of, json_objects, object_table
from rag_app.documents.left_out import left_out
from rag_app.documents.sources import Source, refuse_endless
from rag_app.documents.tables import has_rows, joined, table_contents, text_part
from rag_app.errors import DocumentError
from rag_app.text.normalise import decode, normalise
from rag_app.text.written import as_written

_CORPUS_KEYS = ("_id", "text", "title", "metadata")


def read_jsonl(source: Source) -> list[Content]:
    """Read questions and answers, or a corpus; of queries and labelled pairs, nothing."""
    if _holds_queries(source):
        return []
    return _objects(json_objects(source), source, noun="line")


def read_json(source: Source) -> list[Content]:
    """Read an array of questions and answers or of texts, or an EmbeddingQAFinetuneDataset.

    An array may be the one array of objects in an object. Of other JSON, nothing.
    """
    try:
        data = json.loads(decode(source.read_bytes()), parse_float=as_written)
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"is not JSON ({error}); mend or remove it") from None
    if isinstance(data, dict) and {"queries", "corpus", "relevant_docs"} <= set(data):
        return _dataset(data["corpus"])
    objects = _array(data)
    table = object_table(objects)
    if "text" not in table.columns and not has_rows(table, source):
        return []
    return _objects(objects, source, noun="element")


def _dataset(corpus: object) -> list[Content]:
    if not isinstance(corpus, dict):
        raise DocumentError('holds a "corpus" that does not map ids to texts; save it again')
    return _once(
        [
            (number, {"_id": key, "text": text})
            for number, (key, text) in enumerate(corpus.items(), 1)
        ],
        noun="passage",
    )


def _array(data: object) -> list[Numbered]:
    """The objects of an array, numbered from 1; of an object, those of its one array of them."""
    if isinstance(data, dict):
        arrays = [value for value in data.values() if isinstance(value, list) and value]
        arrays = [array for array in arrays if all(isinstance(one, dict) for one in array)]
        data = arrays[0] if len(arrays) == 1 else []
    if not isinstance(data, list) or not all(isinstance(one, dict) for one in data):
        return []
    return list(enumerate(data, 1))


def _objects(objects: Sequence[Numbered], source: Source, *, noun: str) -> list[Content]:
    table = object_table(objects, noun=noun)
    if holds_labels(table.columns, source):
        return []
    if "text" in table.columns and not has_rows(table, source):
        return _once(objects, noun=noun)
    return table_contents([table], source)


def _holds_queries(source: Source) -> bool:
    path = source.path
    return path.name.lower() == "queries.jsonl" and path.with_name("corpus.jsonl").exists()


def _passage(passage: dict[str, Any]) -> Content:
    title = normalise(joined(cell_of(passage.get("title"))))
    body = joined(cell_of(passage.get("text")))
    refuse_endless(body)
    text = normalise(body) or title
    inner = passage.get("metadata")
    fields = {key: value for key, value in passage.items() if key not in _CORPUS_KEYS}
    own_id = passage.get("_id")
    return Content(
        text,
        kind="text",
        title=title,
        fields=(inner if isinstance(inner, dict) else {}) | fields,
        part=normalise("" if own_id is None else str(own_id)) or text_part(text),
    )


def _once(objects: Sequence[Numbered], *, noun: str) -> list[Content]:
    """Drop passages without text, and those that come again; one id for two texts is refused."""
    by_id: dict[str | None, Content] = {}
    counts: Counter[str | None] = Counter()
    empty = []
    for number, passage in ((number, _passage(one)) for number, one in objects):
        if not passage.text:
            empty.append(number)
            continue
        counts[passage.part] += 1
        if by_id.setdefault(passage.part, passage).text != passage.text:
            raise DocumentError(f"has two texts with the id {passage.part}; give each its own")
    left = [
        *object_table(objects, noun=noun).left_out,
        *left_out("passages without text", noun, empty),
    ]
    if not by_id:
        raise DocumentError("holds no text; write some into it or remove it")
    first, *others = [replace(passage, merged=counts[part] - 1) for part, passage in by_id.items()]
    return [replace(first, left_out=left), *others]
