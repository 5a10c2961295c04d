"""What a document may ask of the store: one with thousands of metadata keys ruins it for good."""

from collections.abc import Mapping
from typing import Any

# Chroma (1.5) fails at some 8,000 in one row, and from then on with every row that follows; and a
# batch of rows with 500 each takes it four seconds.
MOST_KEYS = 256
# Every chunk carries them.
MOST_CHARACTERS = 200_000


def refusal(metadata: Mapping[str, Any]) -> str | None:
    """Why a document with this metadata cannot be kept, to go on after its name; None if it can."""
    if len(metadata) > MOST_KEYS:
        return (
            f"has {len(metadata)} metadata keys, more than the {MOST_KEYS} that a document may "
            "have; put most of them into its text"
        )
    size = sum(len(value) for value in metadata.values() if isinstance(value, str))
    if size > MOST_CHARACTERS:
        return (
            f"has {size} characters of metadata, more than the {MOST_CHARACTERS} that a document "
            "may have; put most of them into its text"
        )
    return None
