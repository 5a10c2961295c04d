"""What made a run, and how to repeat it: indexes with fingerprints, options, the command."""

from collections.abc import Iterator, Mapping
from typing import Any

from rag_app.report.blocks import Block, Listing, Paragraph, Section, Table
from rag_app.report.stored import StoredRun

SHOWN = {
    "name": "index",
    "model": "model",
    "fingerprint": "fingerprint",
    "dimension": "dimension",
    "chunk_size": "tokens",
    "chunk_overlap": "overlap",
    "documents": "documents",
    "chunks": "chunks",
}


def origin_section(run: StoredRun, options: Mapping[str, Any]) -> Section:
    """Everything that another machine needs to get the same numbers.

    Arguments:
        options: settings of the run, nested as they may be.
    """
    blocks: list[Block] = []
    indexes = run.collection.indexes
    if indexes:
        unlike = [one for place, one in enumerate(indexes) if one not in indexes[:place]]
        rows = [[str(one.get(key, "")) for key in SHOWN] for one in unlike]
        blocks.append(Table(list(SHOWN.values()), rows, "indexes that were asked"))
    lines = [f"{key} = {value}" for key, value in flattened(options) if value is not None]
    if lines:
        blocks.append(Listing("\n".join(lines)))
    if run.command:
        blocks += [Paragraph("To repeat it:"), Listing(run.command)]
    blocks.append(Paragraph(f"Files: {run.folder.resolve()}"))
    return Section("Settings, and how to repeat it", blocks)


def flattened(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Each value under its whole name: negatives.kind."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value
