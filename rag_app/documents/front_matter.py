"""Front matter: YAML or TOML at the head of a Markdown file, its values as they are written."""

import re
import tomllib
from functools import cache
from typing import TYPE_CHECKING, Any

from rag_app.errors import DocumentError
from rag_app.text.written import as_written

if TYPE_CHECKING:
    from yaml.nodes import Node

_FRONT_MATTER = re.compile(r"---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.M | re.S)
_TOML = re.compile(r"\+\+\+[ \t]*\n(.*?)^\+\+\+[ \t]*(?:\n|\Z)", re.M | re.S)
_FIELD = re.compile(r"^(\w[\w -]{0,63}): +(\S.*)$", re.M)
# Beyond, it is a text between two rules; PyYAML reads some 100 kB a second.
_LONGEST = 100_000
# With every alias (*name) written out, as it is in the metadata of every chunk: a few lines can
# stand for billions of values.
_LONGEST_WRITTEN_OUT = _LONGEST


def split_front_matter(text: str) -> tuple[dict[str, Any], str]:
    """Part a normalised text into front matter and body.

    Front matter that is not valid stays in the body, so that nothing is lost; the fields
    that stand whole on a line are taken from it all the same.

    Raises:
        DocumentError: its aliases refer to what they stand in, or stand for too many values.
    """
    import yaml

    if match := _TOML.match(text):
        return _split_toml(match, text)
    match = _FRONT_MATTER.match(text)
    if match is None or len(match[1]) > _LONGEST:
        return {}, text
    try:
        # A tab is an error to YAML, and to people a blank.
        fields = _load(match[1].replace("\t", "  "))
    except (yaml.YAMLError, ValueError, RecursionError):
        return {name: value.strip("\"' ") for name, value in _FIELD.findall(match[1])}, text
    if fields is not None and not isinstance(fields, dict):
        return {}, text
    return fields or {}, text[match.end() :]


def _split_toml(match: re.Match[str], text: str) -> tuple[dict[str, Any], str]:
    try:
        fields = tomllib.loads(match[1], parse_float=as_written)
    except (ValueError, RecursionError):
        return {}, text
    return fields, text[match.end() :]


def _load(source: str) -> Any:
    loader = _loader()(source)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _length_written_out(node) > _LONGEST_WRITTEN_OUT:
            raise DocumentError(
                "has front matter whose aliases (*name) refer to themselves or stand for more "
                f"than {_LONGEST_WRITTEN_OUT:,} characters; write its values out, or remove them"
            )
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _length_written_out(root: "Node") -> float:
    """Characters of a node with its aliases written out; infinite if one stands in itself."""
    sizes: dict[int, float] = {}
    # A node that is begun and comes up again before it is done stands in itself.
    begun: set[int] = set()
    todo = [(root, False)]
    while todo:
        node, is_done = todo.pop()
        if is_done:
            own = len(node.value) if isinstance(node.value, str) else 0
            sizes[id(node)] = 1 + own + sum(sizes[id(inner)] for inner in _inner(node))
        elif id(node) in begun and id(node) not in sizes:
            return float("inf")
        elif id(node) not in sizes:
            begun.add(id(node))
            todo.append((node, True))
            todo += [(inner, False) for inner in _inner(node)]
    return sizes[id(root)]


def _inner(node: "Node") -> "list[Node]":
    if isinstance(node.value, str):
        return []
    return [
        inner
        for one in node.value
        for inner in (one if isinstance(one, tuple) else (one,))  # the pairs of a mapping
    ]


@cache
def _loader() -> Any:
    """A SafeLoader by YAML 1.2, where NO, 01234 and 12:30 are text, that keeps what is written.

    Dates too: YAML 1.1 raises on 2024-02-30, and we keep it.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    Loader.yaml_implicit_resolvers = {}
    for tag, pattern, first in _TYPES:
        Loader.add_implicit_resolver(
            f"tag:yaml.org,2002:{tag}", re.compile(rf"(?:{pattern})\Z"), first
        )
    Loader.add_constructor("tag:yaml.org,2002:int", lambda _, node: as_written(node.value))
    return Loader


# Tag, what it looks like, and what it may begin with.
_TYPES = (
    ("merge", r"<<", ["<"]),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"-?[0-9]+(?:\.[0-9]+)?", list("-0123456789")),
)
