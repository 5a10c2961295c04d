"""The tree of a page, by html.parser; it also closes what HTML lets an author leave open."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from bs4 import BeautifulSoup, Tag

from rag_app.errors import DocumentError

# A tree on which looking for parents, tag by tag, would take hours.
_MAX_DEPTH = 2_000
_BLOCKS = """
address article aside blockquote center dd details dialog dir div dl dt fieldset figcaption
figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr li main menu nav ol p pre search section
table ul
"""
_ENDS_PARAGRAPH = frozenset(_BLOCKS.split())
_LIST = ("ul", "ol", "menu", "dir")
_GROUPS = ("thead", "tbody", "tfoot", "caption", "colgroup")
_CELL = ("td", "th")
# What a start tag closes, and within what (13.1.2.4 of the HTML standard, "Optional tags").
_CLOSES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "li": (("li",), (*_LIST, "table", *_CELL)),
    **dict.fromkeys(("dt", "dd"), (("dt", "dd"), ("dl", *_LIST, "table", *_CELL))),
    **dict.fromkeys(_CELL, (_CELL, ("tr", "table"))),
    "tr": (("tr", "caption", "colgroup"), ("table",)),
    **dict.fromkeys(_GROUPS, (_GROUPS, ("table",))),
    "option": (("option",), ("select", "datalist", "optgroup")),
    "optgroup": (("optgroup",), ("select",)),
    **dict.fromkeys(("rt", "rp"), (("rt", "rp"), ("ruby",))),
}
# A paragraph around these is not closed by what stands in them.
_PARAGRAPH_WITHIN = ("table", *_CELL, "caption", "button", "object", "marquee", "template")


class Tree(BeautifulSoup):
    """A page whose paragraphs, items, rows and cells end where HTML says so.

    html.parser by itself puts each of them into the one before.

    Raises:
        DocumentError: its tags nest too deep.
    """

    def handle_starttag(self, name: str, *args: Any, **kwargs: Any) -> Tag | None:
        """Close what this tag ends, then open it."""
        if name in _ENDS_PARAGRAPH:
            self._close(("p",), within=_PARAGRAPH_WITHIN)
        if name in _CLOSES:
            names, within = _CLOSES[name]
            self._close(names, within=within)
        if len(self.tagStack) > _MAX_DEPTH:
            raise DocumentError(f"nests tags over {_MAX_DEPTH:,} deep; close them: tidy -m FILE")
        return super().handle_starttag(name, *args, **kwargs)

    def _close(self, names: tuple[str, ...], *, within: tuple[str, ...]) -> None:
        """Close the innermost open tag of these names, and what is open in it."""
        open_tags: Counter[str] = self.open_tag_counter
        if not any(open_tags[name] for name in names):
            return
        for tag in reversed(self.tagStack):
            if tag.name in names:
                self.handle_endtag(tag.name, tag.prefix)
                return
            if tag.name in within:
                return
