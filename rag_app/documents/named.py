"""Metadata that an ingest gives to each document that it reads: `--metadata company=Acme`."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from rag_app.documents.content import (
    LONGEST_KEY,
    MOST_FIELDS,
    NUMBER_SUFFIX,
    RESERVED,
    Scalar,
    Value,
    field_key,
    field_value,
    is_nested,
    numbers_of,
)
from rag_app.errors import ConfigError
from rag_app.text.dates import DATE_KEYS
from rag_app.text.written import as_written

if TYPE_CHECKING:
    from llama_index.core.schema import Document

# What readers, or the cutting into chunks, make themselves.
_READ = RESERVED | {
    *("title", "language", "lang", "ocr", *DATE_KEYS),
    *("document_hash", "chunk_index", "chunk_count"),
}
# As in YAML front matter.
_TRUTH = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


def can_be_named(key: str) -> bool:
    """Whether `--metadata` may name a key: readers do not make it themselves."""
    return key not in _READ and not key.endswith(NUMBER_SUFFIX)


def named_metadata(fields: Iterable[tuple[object, object]]) -> dict[str, Value]:
    """Names and values as the metadata that they would be in front matter.

    Raises:
        ConfigError: a key that cannot be named, is too long or is named twice; no value, or one
            that cannot be stored.

    >>> named_metadata([("Cost Center", 12)])
    {'cost_center': 12}
    """
    named: dict[str, Value] = {}
    for name, given in fields:
        key = field_key(name)
        _check_key(key, named)
        value = None if is_nested(given) else field_value(given)
        if value is None:
            raise ConfigError(
                f"--metadata gives {key} no value that can be kept ({given!r:.60}); give it a text "
                "or a number, or leave it out"
            )
        named[key] = value
    if len(named) > MOST_FIELDS:
        raise ConfigError(f"--metadata has {len(named)} fields; {MOST_FIELDS} are the most")
    return named


def parsed(arguments: Iterable[str]) -> Iterator[tuple[str, Scalar]]:
    """KEY=VALUE -> key and value, which is a number or true where YAML front matter reads it so.

    Raises:
        ConfigError: one has no key, or no equals sign.

    >>> list(parsed(["company=Acme", "year=2024", "zip=01234"]))
    [('company', 'Acme'), ('year', 2024), ('zip', '01234')]
    """
    for argument in arguments:
        key, equals, text = (part.strip() for part in argument.partition("="))
        if not (key and equals):
            raise ConfigError(
                f"--metadata is {argument!r:.60}, which is not KEY=VALUE; write for instance "
                "--metadata company=Acme"
            )
        yield key, _TRUTH.get(text, as_written(text))


def with_metadata(document: "Document", named: Mapping[str, Value]) -> "Document":
    """A document with the metadata of these that it does not have itself."""
    added = {key: value for key, value in named.items() if key not in document.metadata}
    if not added:
        return document
    added |= numbers_of(added)
    unread = sorted({*document.excluded_embed_metadata_keys, *added})
    return document.model_copy(
        update={
            "metadata": document.metadata | added,
            "excluded_embed_metadata_keys": unread,
            "excluded_llm_metadata_keys": unread,
        }
    )


def _check_key(key: str, named: Mapping[str, Value]) -> None:
    if not key:
        raise ConfigError("--metadata has a key that is empty; name one")
    if len(key) > LONGEST_KEY:
        raise ConfigError(
            f"--metadata names {key[:LONGEST_KEY]!r}..., of {len(key)} characters; {LONGEST_KEY} "
            "are the most"
        )
    if not can_be_named(key):
        raise ConfigError(
            f"--metadata names {key!r}, which is read from each document; take another name"
        )
    if key in named:
        raise ConfigError(f"--metadata names {key!r} twice; give it one value")
