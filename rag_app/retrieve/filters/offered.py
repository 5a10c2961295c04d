"""The metadata keys and values of an index that are offered to whoever writes a filter."""

from itertools import islice
from typing import TYPE_CHECKING

from rag_app.chunks import TABLE_HEADER
from rag_app.documents.content import NUMBER_SUFFIX
from rag_app.retrieve.filters.where import INTERNAL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rag_app.index import VectorIndex

# Values of a metadata key that are offered, and chunks that are read for them.
MOST_OFFERED = 30
MOST_CHUNKS_READ = 20_000
# Of the metadata, what filters are not offered for: each document or chunk has its own.
_UNOFFERED = INTERNAL | {"document_id", "path", "title", TABLE_HEADER}


def offered_filters(index: "VectorIndex", known: "Iterable[str]") -> dict[str, list[str]]:
    """Metadata keys, each with its values where they are texts and few; sorted.

    Arguments:
        known: the keys that the chunks have, as `VectorIndex.metadata_keys` gives them.
    """
    keys = [k for k in sorted(known) if k not in _UNOFFERED and not k.endswith(NUMBER_SUFFIX)]
    found: dict[str, set[str]] = {key: set() for key in keys}
    for node in islice(index.nodes(), MOST_CHUNKS_READ):
        for key in keys:
            value = node.metadata.get(key)
            if isinstance(value, str) and len(found[key]) <= MOST_OFFERED:
                found[key].add(value)
    return {
        key: sorted(values) if len(values) <= MOST_OFFERED else [] for key, values in found.items()
    }
