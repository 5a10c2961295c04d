"""Code blocks of a Markdown page, also those inside lists and admonitions."""

import re
import textwrap
from collections.abc import Iterator

# The fence that ends a block stands as far in as the one that begins it, or less.
FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
INDENTED = re.compile(r"(?:^|\n)[ \t]*\n((?:(?:(?: {4}|\t).*)?(?:\n|\Z))+)")


def fenced(text: str, *languages: str) -> list[str]:
    """Blocks of these languages, without what they are indented by."""
    return [
        re.sub(f"^{indent}", "", block, flags=re.MULTILINE)
        for indent, language, block in FENCED.findall(text)
        if language in languages
    ]


def indented(text: str) -> list[str]:
    """Blocks that four blanks make."""
    plain = FENCED.sub("", text)
    return [textwrap.dedent(block) for block in INDENTED.findall(plain) if block.strip()]


def commands(text: str, *languages: str) -> Iterator[str]:
    """Calls of rag-app in fenced blocks of these languages and in indented ones.

    Lines that end in a backslash go on; what stands behind # or is sent elsewhere is left out.
    """
    for block in (*fenced(text, *languages), *indented(text)):
        for line in re.sub(r"\\\n\s*", "", block).splitlines():
            found = re.match(r"(?:\$ )?(?:\.venv/bin/)?(rag-app(?: .*)?)$", line.strip())
            if found:
                yield re.split(r"\s+#|\s[|>]\s", found[1])[0].strip()
