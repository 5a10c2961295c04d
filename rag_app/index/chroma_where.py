"""LlamaIndex's metadata filters in Chroma's words, lists included."""

from typing import Any

from llama_index.core.vector_stores.types import MetadataFilter, MetadataFilters

_WORDS = {
    "==": "$eq",
    "!=": "$ne",
    ">": "$gt",
    ">=": "$gte",
    "<": "$lt",
    "<=": "$lte",
    "in": "$in",
    "nin": "$nin",
    "contains": "$contains",
}
_OPPOSITE = {"$contains": "$not_contains"}


def chroma_where(filters: MetadataFilters) -> dict[str, Any]:
    """Write filters as Chroma takes them.

    ChromaVectorStore's own translation knows neither what a list contains nor `not`.

    Raises:
        ValueError: an operator that Chroma has none for.
    """
    parts = [_part(part) for part in filters.filters]
    if filters.condition == "not":
        [[(key, condition)]] = [list(part.items()) for part in parts]
        [(word, value)] = condition.items()
        return {key: {_OPPOSITE[word]: value}}
    if len(parts) == 1:
        return parts[0]
    return {"$or" if filters.condition == "or" else "$and": parts}


def _part(part: MetadataFilter | MetadataFilters) -> dict[str, Any]:
    if isinstance(part, MetadataFilters):
        return chroma_where(part)
    word = _WORDS.get(part.operator.value)
    if word is None:
        raise ValueError(f"Chroma has no filter {part.operator.value!r}")
    return {part.key: {word: part.value}}
