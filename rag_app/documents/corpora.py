"""JSON: arrays of questions and answers, and corpora of retrieval datasets.

BEIR's corpus.jsonl, LlamaIndex's EmbeddingQAFinetuneDataset.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rag_app.documents.columns import holds_labels
from rag_app.documents.content import Content, long_names
from rag_app.documents.json_lines import (
    Numbered,
    cell_of,
    json_objects,
    object_table,
)
from rag_app.documents.left_out import LeftOut, left_out, named
from rag_app.documents.sources import Source, refuse_endless
from rag_app.documents.tables import (
    has_rows,
    joined,
    other_dates,
    table_contents,
    text_part,
    united,
    ununited,
)
from rag_app.errors import DocumentError
from rag_app.text.normalise import decode, normalise
from rag_app.text.written import json_number

_CORPUS_KEYS = ("_id", "text", "title")


@dataclass(frozen=True)
class _Array:
    """The objects of an array, numbered from 1, and what stands among and around them."""

    objects: list[Numbered] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


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
        data = json.loads(decode(source.read_bytes()), parse_float=json_number)
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"is not JSON ({error}); mend or remove it") from None
    if isinstance(data, dict) and {"queries", "corpus", "relevant_docs"} <= set(data):
        return _dataset(data["corpus"])
    array = _array(data)
    table = object_table(array.objects)
    if "text" not in table.columns and not has_rows(table, source):
        return []
    contents = _objects(array.objects, source, noun="element")
    return [
        replace(one, left_out=[*array.left_out, *one.left_out]) if at == 0 else one
        for at, one in enumerate(contents)
    ]


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


def _array(data: object) -> _Array:
    """Find the objects of an array; of an object, those of its one array of them."""
    left: list[LeftOut] = []
    if isinstance(data, dict):
        arrays = [key for key, value in data.items() if _has_objects(value)]
        if len(arrays) != 1:
            return _Array()
        others = [key for key in data if key != arrays[0]]
        left = [LeftOut(f'keys beside "{arrays[0]}"', len(others), named(others))] if others else []
        data = data[arrays[0]]
    if not isinstance(data, list) or not _has_objects(data):
        return _Array()
    elements = list(enumerate(data, 1))
    odd = [number for number, one in elements if not isinstance(one, dict)]
    left += left_out("elements that are no object", "element", odd)
    return _Array([(n, one) for n, one in elements if isinstance(one, dict)], left)


def _has_objects(value: object) -> bool:
    return isinstance(value, list) and any(isinstance(one, dict) for one in value)


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


def _with_metadata(one: dict[str, Any]) -> dict[str, Any]:
    """A passage whose "metadata" stand beside its own keys; where these have the name, as name_."""
    inner = one.get("metadata")
    if not isinstance(inner, dict):
        return one
    own = {key: value for key, value in one.items() if key != "metadata"}
    taken = {
        key for key in inner if key in ("_id", "text") or own.get(key, inner[key]) != inner[key]
    }
    return own | {f"{key}_" if key in taken else key: value for key, value in inner.items()}


def _passage(passage: dict[str, Any]) -> Content:
    title = normalise(joined(cell_of(passage.get("title"))))
    body = joined(cell_of(passage.get("text")))
    refuse_endless(body)
    text = normalise(body) or title
    own_id = passage.get("_id")
    return Content(
        text,
        kind="text",
        title=title,
        fields={key: cell_of(value) for key, value in passage.items() if key not in _CORPUS_KEYS},
        part=normalise("" if own_id is None else str(own_id)) or text_part(text),
    )


def _once(objects: Sequence[Numbered], *, noun: str) -> list[Content]:
    """Drop passages without text; of those that come again, one; one id for two texts is refused.

    Fields that differ between those that are one are kept as several values.
    """
    objects = [(number, _with_metadata(one)) for number, one in objects]
    by_id: dict[str | None, list[Content]] = defaultdict(list)
    empty = []
    for number, passage in ((number, _passage(one)) for number, one in objects):
        if not passage.text:
            empty.append(number)
            continue
        alike = by_id[passage.part]
        alike.append(passage)
        if alike[0].text != passage.text:
            raise DocumentError(f"has two texts with the id {passage.part}; give each its own")
    table = object_table(objects, noun=noun)
    left = [
        *table.left_out,
        *long_names("keys", table.columns),
        *left_out("passages without text", noun, empty),
        *ununited([[one.fields for one in alike] for alike in by_id.values()]),
    ]
    if not by_id:
        raise DocumentError("holds no text; write some into it or remove it")
    first, *others = map(_one, by_id.values())
    return [replace(first, left_out=left), *others]


def _one(alike: Sequence[Content]) -> Content:
    fields = [one.fields for one in alike]
    merged = len(alike) - 1
    return replace(alike[0], fields=united(fields), dates=other_dates(fields), merged=merged)
