"""Markdown: front matter apart, everything else as it stands, less HTML comments."""

import re
from functools import cache
from typing import Any

from rag_app.documents.content import Content
from rag_app.documents.sources import Source
from rag_app.text.normalise import decode, normalise

_FRONT_MATTER = re.compile(r"---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.M | re.S)
_FIELD = re.compile(r"^(\w[\w -]{0,63}): +(\S.*)$", re.M)
_FENCED = r"^ {0,3}(?P<fence>`{3,}|~{3,})[^\n]*\n.*?(?:^ {0,3}(?P=fence)[`~]*[ \t]*$|\Z)"
_TICKED = r"(?<!`)(?P<tick>`+)(?!`)(?:(?!\n\n).){1,1000}?(?<!`)(?P=tick)(?!`)"
# A comment that never closes is kept, and taken in one go: looking for its end again from every
# later "<!--" would take for ever on a file made of them.
_COMMENT = re.compile(
    rf"(?P<kept>{_FENCED}|{_TICKED})"
    r"|^[ \t]*<!--(?:(?!-->).)*-->[ \t]*\n|<!--.*?-->|(?P<open><!--.*\Z)",
    re.M | re.S,
)
_HEADING = re.compile(rf"{_FENCED}|^ {{0,3}}#[ \t]+(?P<title>[^\n]+)", re.M | re.S)


def read_markdown(source: Source) -> list[Content]:
    """Read a Markdown file as one document; its text is what follows the front matter."""
    fields, body = split_front_matter(normalise(decode(source.read_bytes())))
    text = normalise(_drop_comments(body))
    return [Content(text, kind="markdown", title=_first_heading(text), fields=fields)]


def split_front_matter(text: str) -> tuple[dict[str, Any], str]:
    """Part a normalised text into front matter and body.

    Front matter that is not valid YAML stays in the body, so that nothing is lost; the fields
    that stand whole on a line are taken from it all the same.
    """
    import yaml

    match = _FRONT_MATTER.match(text)
    if match is None:
        return {}, text
    try:
        # A tab is an error to YAML, and to people a blank.
        fields = yaml.load(match[1].replace("\t", "  "), Loader=_loader())  # noqa: S506 - safe, below
    except (yaml.YAMLError, ValueError, RecursionError):
        return {name: value.strip("\"' ") for name, value in _FIELD.findall(match[1])}, text
    if fields is not None and not isinstance(fields, dict):
        return {}, text
    return fields or {}, text[match.end() :]


@cache
def _loader() -> Any:
    """A SafeLoader that leaves dates as written: YAML raises on 2024-02-30, and we keep it."""
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    Loader.yaml_implicit_resolvers = {
        first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return Loader


def _drop_comments(text: str) -> str:
    return _COMMENT.sub(lambda match: match["kept"] or match["open"] or "", text)


def _first_heading(text: str) -> str | None:
    titles = (match["title"] for match in _HEADING.finditer(text) if match["title"])
    return next((title.rstrip(" \t#") for title in titles), None)
