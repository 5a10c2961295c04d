"""Pairs -> files that this application, LlamaIndex and BEIR's tools read; one table of formats."""

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_app.chunks import chunks_by_document
from rag_app.disk import refuse_unwritable, whole_folder, write_whole
from rag_app.errors import PairsError, StorageError
from rag_app.pairs.datasets import QRELS_HEADER
from rag_app.pairs.pair import Pair
from rag_app.pairs.places import document_texts
from rag_app.pairs.question import gold_chunks

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

# The format of a path without a suffix.
_BEIR = "folder"
_BEIR_FILES = frozenset({"corpus.jsonl", "queries.jsonl", "qrels", "qrels/test.tsv"})


def write_pairs(path: str | Path, pairs: Sequence[Pair], chunks: Sequence["TextNode"]) -> None:
    """Write pairs in the format that the path's suffix names; the file is there wholly or not.

    .jsonl keeps everything. .csv (question, answer) gives each pair the document's text, or the
    first chunk that holds the evidence. .json (EmbeddingQAFinetuneDataset) and a path without a
    suffix (a BEIR folder) hold every chunk's text by its id, and which of them answer a question.

    Arguments:
        path: an existing file or BEIR folder is replaced.
        chunks: every chunk of the index.
    Raises:
        PairsError: the format is unknown, a document is not in the index, or a folder holds
            something else than an export.
        StorageError: the disk is full or the folder cannot be written.
    """
    path = Path(path)
    _write(path, _kind(path), pairs, chunks)


def write_beir(path: Path, pairs: Sequence[Pair], chunks: Sequence["TextNode"]) -> None:
    """Write a BEIR folder, as `write_pairs` does, whatever its name.

    Raises:
        PairsError, StorageError: as `write_pairs`.
    """
    _write(path, _BEIR, pairs, chunks)


def _write(path: Path, kind: str, pairs: Sequence[Pair], chunks: Sequence["TextNode"]) -> None:
    answers = _Answers(chunks)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        WRITERS[kind](path, pairs, answers)
    except OSError as error:
        reason = error.strerror or error
        raise StorageError(
            f"{path} cannot be written: {reason}; free some space or name another place"
        ) from error


def refuse_output(path: Path) -> None:
    """Say now if `write_pairs` could not write there after the work.

    Raises:
        PairsError: the format is unknown, or a folder holds something else than an export.
        StorageError: a device is there, a folder above is missing, or it cannot be written.
    """
    is_folder = _kind(path) == _BEIR
    refuse_unwritable(path, is_folder=is_folder)
    if is_folder:
        _refuse_strangers(path)


def _kind(path: Path) -> str:
    kind = path.suffix.lower() or _BEIR
    if kind not in WRITERS:
        raise PairsError(
            f"cannot write {path}: the format {kind!r} is unknown; the known ones are "
            f"{', '.join(WRITERS)} (BEIR's layout, no suffix)"
        )
    return kind


class _Answers:
    """The texts of an index, and the chunks of it that answer a pair."""

    def __init__(self, chunks: Sequence["TextNode"]) -> None:
        self.chunks = chunks
        self._texts = document_texts(chunks)
        self._by_document = chunks_by_document(chunks)

    def evidence(self, pair: Pair) -> str:
        """What answers the pair: its span's text, or its document's."""
        self._require(pair)
        return self._texts[pair.document_id][pair.start : pair.end]

    def gold(self, pair: Pair) -> list["TextNode"]:
        """The chunks that answer it, in the document's order."""
        self._require(pair)
        group = self._by_document[pair.document_id]
        good = gold_chunks(pair, group)
        return [chunk for chunk in group if chunk.node_id in good]

    def _require(self, pair: Pair) -> None:
        if pair.document_id not in self._texts:
            raise PairsError(
                f"the index has no document {pair.document_id!r}, which answers "
                f"{pair.question!r}; run `rag-app ingest` on its folder"
            )


def _write_jsonl(path: Path, pairs: Sequence[Pair], answers: _Answers) -> None:
    write_whole(path, _json_lines(_evidence_row(pair, answers) for pair in pairs))


def _evidence_row(pair: Pair, answers: _Answers) -> dict[str, Any]:
    evidence = answers.evidence(pair)
    row: dict[str, Any] = {"question": pair.question, "document": pair.document_id}
    if pair.start is not None:
        row |= {"evidence": evidence, "start": pair.start, "end": pair.end}
    return row | {"origin": pair.origin}


def _write_csv(path: Path, pairs: Sequence[Pair], answers: _Answers) -> None:
    buffer = io.StringIO(newline="")
    table = csv.writer(buffer)
    table.writerow(["question", "answer"])
    for pair in pairs:
        whole = pair.start is None
        answer = answers.evidence(pair) if whole else answers.gold(pair)[0].text
        table.writerow([pair.question, answer])
    # The mark at the beginning: without it Excel takes Korean for another encoding.
    write_whole(path, "\ufeff" + buffer.getvalue())


def _write_embedding_qa(path: Path, pairs: Sequence[Pair], answers: _Answers) -> None:
    queries, relevant = _judgements(pairs, answers)
    corpus = {chunk.node_id: chunk.text for chunk in answers.chunks}
    data = {"queries": queries, "corpus": corpus, "relevant_docs": relevant, "mode": "text"}
    # ASCII, since LlamaIndex reads the file in whatever encoding the machine prefers.
    write_whole(path, json.dumps(data, indent=1) + "\n")


def _write_beir(path: Path, pairs: Sequence[Pair], answers: _Answers) -> None:
    queries, relevant = _judgements(pairs, answers)
    corpus = (
        {"_id": chunk.node_id, "title": chunk.metadata.get("title", ""), "text": chunk.text}
        for chunk in answers.chunks
    )
    judged = [(query, passage, "1") for query, passages in relevant.items() for passage in passages]
    rows = ({"_id": query, "text": text} for query, text in queries.items())
    lines = ["\t".join(cells) + "\n" for cells in (QRELS_HEADER, *judged)]
    _refuse_strangers(path)
    with whole_folder(path, hidden=True) as folder:
        (folder / "qrels").mkdir(parents=True)
        write_whole(folder / "queries.jsonl", _json_lines(rows))
        write_whole(folder / "corpus.jsonl", _json_lines(corpus))
        write_whole(folder / "qrels" / "test.tsv", "".join(lines))


def _judgements(
    pairs: Sequence[Pair], answers: _Answers
) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Each question's text and the ids of the chunks that answer it, by an id of the question."""
    queries: dict[str, str] = {}
    relevant: dict[str, dict[str, None]] = {}
    for pair in pairs:
        query = hashlib.sha256(pair.question.encode()).hexdigest()[:16]
        queries[query] = pair.question
        gold = dict.fromkeys(chunk.node_id for chunk in answers.gold(pair))
        relevant.setdefault(query, {}).update(gold)
    return queries, {query: list(passages) for query, passages in relevant.items()}


def _json_lines(rows: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _refuse_strangers(path: Path) -> None:
    """Refuse to replace what is no earlier export.

    Raises:
        PairsError: it is none.
    """
    there = (found.relative_to(path).as_posix() for found in path.rglob("*"))
    strangers = sorted(name for name in there if name not in _BEIR_FILES)
    if strangers or path.is_file():
        what = f"holds {strangers[0]}" if strangers else "is a file"
        raise PairsError(f"{path} {what}, which no export wrote; name a new folder for the pairs")


Writer = Callable[[Path, Sequence[Pair], _Answers], None]

WRITERS: dict[str, Writer] = {
    ".jsonl": _write_jsonl,
    ".csv": _write_csv,
    ".json": _write_embedding_qa,
    _BEIR: _write_beir,
}
