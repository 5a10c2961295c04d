"""What naming near-duplicates costs an ingest: first, with one new document, and unchanged.

    python eval/benchmarks/near_duplicates.py [--documents 10000] [--words 200]

The words are those of the 18F posts in ../shared/data, cut into documents of equal length; each
tenth document repeats the one before but for its last word. Processor seconds of the comparison
alone, and bytes of what it keeps beside the index.
"""

import argparse
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

from corpora import SHARED, write_results
from llama_index.core.schema import Document

from rag_app.chunks import document_hash
from rag_app.documents import ReadResult
from rag_app.documents.states import KeptFile
from rag_app.ingest.duplicates import WORDINGS, KeptWordings


def main() -> None:
    """Measure, print, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--words", type=int, default=200)
    arguments = parser.parse_args()
    made = documents(arguments.documents, arguments.words)
    kept = {
        Path(one.node_id): KeptFile(one.node_id, None, {one.node_id: document_hash(one)})
        for one in made[:-1]
    }
    values: dict[str, Any] = vars(arguments)
    with TemporaryDirectory() as name:
        folder = Path(name)
        for what, reading in (
            ("first", ReadResult(made[:-1], [], [])),
            ("unchanged", ReadResult([], [], [], kept=kept)),
            ("one_new", ReadResult(made[-1:], [], [], kept=kept)),
        ):
            started = process_time()
            found = KeptWordings(folder).duplicates_of(reading, [])
            values[what] = {
                "processor_seconds": round(process_time() - started, 2),
                "near_duplicates": len(found),
            }
        values["kept_bytes"] = (folder / WORDINGS).stat().st_size
    print(values)
    write_results("near_duplicates", values)


def documents(count: int, words: int) -> list[Document]:
    """Documents of so many words; each tenth is nearly the one before."""
    posts = sorted((SHARED / "docs_18f" / "content" / "posts").glob("*.md"))
    text = [word for post in posts for word in post.read_text("utf-8").split()]
    source = cycle(text)
    made: list[Document] = []
    before: list[str] = []
    for number in range(count):
        if number % 10 == 9:
            own = [*before[:-1], "another"]
        else:
            # A word of its own keeps apart what the second round over the posts repeats.
            own = [f"{word}{'abcdefg'[number % 7]}" for word in islice(source, words)]
        path = f"{number:06}.txt"
        made.append(Document(id_=path, text=" ".join(own), metadata={"path": path}))
        before = own
    return made


if __name__ == "__main__":
    main()
