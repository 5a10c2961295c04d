"""Markdown: front matter apart, everything else as it stands, less HTML comments."""

import re

from rag_app.documents.content import Content, unkept_fields
from rag_app.documents.front_matter import split_front_matter
from rag_app.documents.sources import Source, refuse_endless
from rag_app.text.normalise import decode, normalise

# Marks are taken whole (}+, ++), or each shorter run of a long one would be tried.
_FENCED = (
    r"^ {0,3}(?P<fence>`{3,}+(?=[^`\n]*$)|~{3,}+)[^\n]*\n"
    r".*?(?:^ {0,3}(?P=fence)[`~]*[ \t]*$|\Z)"
)
_TICKED = r"(?<!`)(?P<tick>`++)(?:(?!\n\n).){1,1000}?(?<!`)(?P=tick)(?!`)"
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
    source_text = decode(source.read_bytes())
    refuse_endless(source_text)
    fields, body = split_front_matter(normalise(source_text))
    text = normalise(_drop_comments(body))
    title, left = _first_heading(text), unkept_fields(fields)
    return [Content(text, kind="markdown", title=title, fields=fields, left_out=left)]


def _drop_comments(text: str) -> str:
    return _COMMENT.sub(lambda match: match["kept"] or match["open"] or "", text)


def _first_heading(text: str) -> str | None:
    titles = (match["title"] for match in _HEADING.finditer(text) if match["title"])
    return next((title.rstrip(" \t#") for title in titles), None)
