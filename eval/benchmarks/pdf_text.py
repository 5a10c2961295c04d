"""What is read of PDFs whose text is known, beside PDFium's plain text and pdftext.

    python eval/benchmarks/pdf_text.py [--pdftext PYTHON]

The documents are made of the sample articles and of an annual report of ../shared/data
(known_pdfs.py). Of each page: F1 of its words, whatever their order; the edit similarity of its
words in their order and of its lines, 1 where nothing differs; of tables, the share of the rows of
cells whose cells are kept apart, by tabs or two blanks. Milliseconds a page are taken in
turns. pdftext asks for one version of pypdfium2, so it runs by the Python of an environment of its
own, which is made thus: `python -m venv DIR && DIR/bin/pip install pdftext`.
"""

import argparse
import json
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from corpora import write_results
from known_pdfs import known_pdfs, report_texts
from pdf_writing import Known

ROUNDS = 3
MEASURES = ("f1", "order", "lines", "cells")
_CELLS = re.compile(r" {2,}|\t")
# What runs in pdftext's own environment: pages and the least seconds of so many rounds.
_PDFTEXT = """
import json, sys, time
from pdftext.extraction import paginated_plain_text_output
for path in sys.argv[2:]:
    seconds = []
    for _ in range(int(sys.argv[1])):
        started = time.perf_counter()
        pages = paginated_plain_text_output(path, sort=False, hyphens=False)
        seconds.append(time.perf_counter() - started)
    print(json.dumps([pages, min(seconds)]))
"""


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pdftext", metavar="PYTHON", help="an interpreter that has pdftext")
    arguments = parser.parse_args()
    if report_texts() is None:
        print("skipped: the annual report of ../shared/data is not there")
    if not arguments.pdftext:
        print("skipped: pdftext, since no --pdftext names an interpreter that has it")
    rows = []
    with TemporaryDirectory() as folder:
        for known in known_pdfs():
            row = measured(known, Path(folder) / "a.pdf", arguments.pdftext)
            print_row(row)
            rows.append(row)
    values = {"versions": versions(arguments.pdftext), "rows": rows, "mean": means(rows)}
    write_results("pdf_text", values)
    print_row({"name": "mean", "pages": sum(row["pages"] for row in rows), **means(rows)})


def measured(known: Known, path: Path, pdftext: str | None) -> dict[str, Any]:
    """Scores and times of each reader on one document."""
    path.write_bytes(known.data)
    expected = known.expected()
    texts, seconds = in_turns({"ours": ours, "pdfium": pdfium}, path)
    if pdftext:
        texts["pdftext"], seconds["pdftext"] = by_pdftext(pdftext, path)
    row: dict[str, Any] = {"name": known.name, "pages": len(expected)}
    for reader, pages in texts.items():
        scores = [page_scores(*both) for both in zip(pages, expected, strict=True)]
        row[reader] = _means(scores)
        row[reader]["ms_a_page"] = round(1000 * seconds[reader] / len(pages), 2)
    return row


def in_turns(
    readers: dict[str, Callable[[Path], list[str]]], path: Path
) -> tuple[dict[str, list[str]], dict[str, float]]:
    """The pages that each reader gives, and the least seconds of its rounds."""
    seconds: dict[str, list[float]] = {name: [] for name in readers}
    texts = {}
    for _ in range(ROUNDS):
        for name, read in readers.items():
            started = perf_counter()
            texts[name] = read(path)
            seconds[name].append(perf_counter() - started)
    return texts, {name: min(times) for name, times in seconds.items()}


def ours(path: Path) -> list[str]:
    """Pages as `ingest` reads them."""
    from rag_app.documents.pdf import read_pdf
    from rag_app.documents.sources import Source

    [content] = read_pdf(Source(path, path.name))
    starts = [*(content.page_starts or ()), len(content.text)]
    return [content.text[start:end] for start, end in pairwise(starts)]


def pdfium(path: Path) -> list[str]:
    """Pages as PDFium gives them."""
    from pypdfium2 import PdfDocument

    document = PdfDocument(path)
    return [page.get_textpage().get_text_range() for page in document]


def by_pdftext(python: str, path: Path) -> tuple[list[str], float]:
    """The pages that pdftext gives, and the least seconds of its rounds."""
    command = [python, "-c", _PDFTEXT, str(ROUNDS), str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    pages, seconds = json.loads(done.stdout)
    return pages, seconds


def versions(pdftext: str | None) -> dict[str, str]:
    """Of the libraries that are compared; pdftext brings a pypdfium2 of its own."""
    found = {"pypdfium2": version("pypdfium2")}
    if pdftext:
        ask = "import importlib.metadata as m; print(m.version('pdftext'), m.version('pypdfium2'))"
        done = subprocess.run([pdftext, "-c", ask], check=True, capture_output=True, text=True)
        found["pdftext"], found["pypdfium2 of pdftext"] = done.stdout.split()
    return found


# Measures


def page_scores(text: str, expected: Sequence[str]) -> dict[str, float]:
    """What one page's text has of the expected lines."""
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    wanted = [" ".join(line.split()) for line in expected if line.strip()]
    rows = [_CELLS.split(line) for line in expected if "\t" in line]
    found = Counter(tuple(_CELLS.split(line.strip())) for line in text.splitlines())
    apart = sum((found & Counter(map(tuple, rows))).values())
    words, known = " ".join(lines).split(), " ".join(wanted).split()
    both = sum((Counter(words) & Counter(known)).values())
    return {
        "f1": 2 * both / (len(words) + len(known)),
        "order": similarity(words, known),
        "lines": similarity(lines, wanted),
        **({"cells": apart / len(rows)} if rows else {}),
    }


def similarity(first: Sequence[str], second: Sequence[str]) -> float:
    """1 less the share of edits (Levenshtein) that make one sequence the other.

    >>> similarity(["a", "b", "c"], ["a", "c"])
    0.6666666666666667
    """
    codes = {one: number for number, one in enumerate({*first, *second})}
    column = np.array([codes[one] for one in second])
    steps = np.arange(len(second) + 1)
    costs = steps
    for number, one in enumerate(first, 1):
        replaced = costs[:-1] + (column != codes[one])
        best = np.concatenate([[number], np.minimum(replaced, costs[1:] + 1)])
        # What is inserted costs 1 for each place to the right.
        costs = np.minimum.accumulate(best - steps) + steps
    return 1 - float(costs[-1]) / max(len(first), len(second), 1)


def means(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Of all documents, each counting once; times by pages."""
    readers = [name for name, value in rows[0].items() if isinstance(value, dict)]
    pages = np.array([row["pages"] for row in rows])
    found = {}
    for reader in readers:
        found[reader] = _means([row[reader] for row in rows])
        times = np.array([row[reader]["ms_a_page"] for row in rows])
        found[reader]["ms_a_page"] = round(float((times * pages).sum() / pages.sum()), 2)
    return found


def _means(scores: Sequence[dict[str, float]]) -> dict[str, float]:
    """Of each measure over those that have it."""
    kept = {name: [one[name] for one in scores if name in one] for name in MEASURES}
    return {name: round(float(np.mean(values)), 4) for name, values in kept.items() if values}


def print_row(row: dict[str, Any]) -> None:
    """A line of the table in docs/measured.md."""
    readers = [value for value in row.values() if isinstance(value, dict)]
    cells = (
        ", ".join(f"{value[name]:.3f}".lstrip("0") for name in MEASURES if name in value)
        for value in readers
    )
    print(f"| {row['name']} | {row['pages']} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
