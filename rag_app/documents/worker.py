"""The child process that reads files: a request a line on standard input, answers on output.

    {"path": ..., "id": ..., "question_column": ..., "answer_column": ..., "ocr": ...}
    {"goes_on": true} before each page that another program reads
    {"content": {...}} for each content, then {"done": true}
    or {"failed": reason}, with "ends": true where the process has had enough

A file that crashes a parser, hangs it or eats memory takes this process with it and no other.
"""

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rag_app.documents.limits import bound_memory, bound_time, tell_of_programs
from rag_app.documents.reading import contents_of
from rag_app.documents.sources import Source
from rag_app.errors import DocumentError


def main() -> None:
    """Answer until standard input ends."""
    # What a library prints is no answer.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    bound_memory()

    def tell() -> None:
        answers.write('{"goes_on": true}\n')
        answers.flush()

    tell_of_programs(tell)
    for line in sys.stdin:
        request = json.loads(line)
        source = Source(**{**request, "path": Path(request["path"])})
        for answer in answered(source):
            answers.write(json.dumps(answer, default=str) + "\n")
        answers.flush()


def answered(source: Source) -> Iterator[dict[str, Any]]:
    """Read one file."""
    bound_time(_size(source.path))
    try:
        for content in contents_of(source):
            yield {"content": asdict(content)}
    except DocumentError as error:
        yield {"failed": str(error), "ends": isinstance(error.__cause__, MemoryError)}
    else:
        yield {"done": True}


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


if __name__ == "__main__":
    main()
