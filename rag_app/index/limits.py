"""What a document may ask of the store: one with thousands of metadata keys ruins it for good."""

from collections.abc import Mapping
from typing import Any

from rag_app.documents.content import MOST_FIELDS

# Of a file's own fields and what is added to them.
MOST_KEYS = MOST_FIELDS
# Every chunk carries them.
MOST_CHARACTERS = 200_000
# Of all lists; Chroma (1.5) fails at some 7,000 values in one row.
MOST_VALUES = 5_000


def refusal(metadata: Mapping[str, Any]) -> str | None:
    """Why a document with this metadata cannot be kept, to go on after its name; None if it can."""
    if len(metadata) > MOST_KEYS:
        return (
            f"has {len(metadata)} metadata keys, more than the {MOST_KEYS} that a document may "
            "have; put most of them into its text"
        )
    texts = (value if isinstance(value, list) else [value] for value in metadata.values())
    size = sum(len(text) for several in texts for text in several if isinstance(text, str))
    if size > MOST_CHARACTERS:
        return (
            f"has {size} characters of metadata, more than the {MOST_CHARACTERS} that a document "
            "may have; put most of them into its text"
        )
    values = sum(len(value) for value in metadata.values() if isinstance(value, list))
    if values > MOST_VALUES:
        return (
            f"has lists of {values} values in its metadata, more than the {MOST_VALUES} that a "
            "document may have; put most of them into its text"
        )
    return None
