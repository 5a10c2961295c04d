"""Pictures and files written into a text as letters (data URIs), which nobody reads."""

import re
from dataclasses import replace
from typing import Any

from rag_app.documents.content import Content
from rag_app.documents.left_out import LeftOut
from rag_app.text.normalise import normalise

# What is shorter is an example in a text about them.
_LEAST = 60
_URI = (
    r"data:(?:[\w.+-]{1,60}/[\w.+-]{1,100})?(?:;[\w.+=-]{1,60}){0,5},"
    rf"(?:[A-Za-z0-9+/=_%-]{{{_LEAST},}}|%3[Cc][^\s\"'<>)]{{{_LEAST},}})"
)
_DATA_URI = re.compile(
    rf"!?\[(?P<alt>[^\[\]\n]{{0,300}})\]\(\s*<?{_URI}>?(?:\s+[\"'][^\"'\n]{{0,300}}[\"'])?\s*\)"
    rf"|^ {{0,3}}\[[^\[\]\n]{{1,300}}\]:[ \t]*<?{_URI}>?[^\n]{{0,300}}$"
    rf"|<img\s[^<>]{{0,500}}?src\s*=\s*[\"']?{_URI}[^<>]{{0,500}}>"
    rf"|{_URI}",
    re.M,
)
_ALT = re.compile(r"""\balt\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.I)


def without_data_uris(content: Content) -> Content:
    """Take data URIs out of a content's text, title and fields; what stands for them stays."""
    if content.page_starts is not None:
        # The places of its pages count in the text; and no PDF is written like that.
        return content
    text, count = _DATA_URI.subn(_stand_in, content.text)
    fields = {name: _cleaned(value) for name, value in content.fields.items()}
    if not count:
        return content if fields == content.fields else replace(content, fields=fields)
    left = LeftOut("pictures or files written as data URIs", count)
    return replace(
        content,
        text=normalise(re.sub(r"\n{3,}", "\n\n", text)),
        title=_cleaned(content.title),
        fields=fields,
        left_out=[*content.left_out, left],
    )


def _stand_in(match: re.Match[str]) -> str:
    """The text that a picture has for those who do not see it."""
    if match["alt"]:
        return match["alt"]
    alt = _ALT.search(match[0]) if match[0].startswith("<") else None
    return (alt[1] or alt[2] or "") if alt else ""


def _cleaned(value: Any) -> Any:
    return _DATA_URI.sub(_stand_in, value) if isinstance(value, str) else value
