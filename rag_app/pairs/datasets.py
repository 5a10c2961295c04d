"""Datasets that name queries, passages and what belongs to what: LlamaIndex's JSON and BEIR."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rag_app.errors import PairsError
from rag_app.pairs.labelled import LabelledQuestion
from rag_app.pairs.lines import parse_lines, read_json, text_of
from rag_app.text.normalise import normalise

_BEIR_TEXTS = ("corpus.jsonl", "queries.jsonl")
# Of several files of judgements the one that is scored, as published figures are.
_QRELS = ("test", "dev", "train")
QRELS_HEADER = ["query-id", "corpus-id", "score"]
_EMBEDDING_QA = {"queries": dict, "corpus": dict, "relevant_docs": dict}
# Beside the fields of a dataset, in files of questions that a program handed over: query id -> what
# a labelled question says besides question and passage.
LABELS = "rag_app_labels"
LABEL_FIELDS = ("document", "evidence", "start", "end", "origin")


def read_embedding_qa(path: Path) -> list[LabelledQuestion]:
    """Read an EmbeddingQAFinetuneDataset as LlamaIndex saves it.

    Raises:
        PairsError: it is something else, or names what it does not hold.
    """
    data = read_json(path)
    found = {key: type(value) for key, value in data.items()} if isinstance(data, dict) else {}
    if not _EMBEDDING_QA.items() <= found.items():
        raise PairsError(
            f"{path} is not an EmbeddingQAFinetuneDataset: expected an object with queries, "
            f"corpus and relevant_docs, found {', '.join(found) or type(data).__name__}; "
            "for rows of questions and answers use .jsonl or .csv"
        )
    return label_dataset(
        data["queries"],
        data["corpus"],
        data["relevant_docs"],
        source=str(path),
        labels=data.get(LABELS, {}),
    )


def label_dataset(
    queries: Mapping[str, Any],
    corpus: Mapping[str, Any],
    relevant_docs: Mapping[str, Any],
    *,
    source: str,
    labels: Mapping[str, Mapping[str, Any]] = {},
) -> list[LabelledQuestion]:
    """Label the queries of an EmbeddingQAFinetuneDataset with their passages.

    Arguments:
        queries, corpus: id -> text.
        relevant_docs: query id -> passage ids, or one of them.
        source: what messages call it.
        labels: query id -> what it says besides question and passage.
    Raises:
        PairsError: it names what it does not hold.
    """
    relevant = [
        (query, passage)
        for query, passages in relevant_docs.items()
        for passage in (passages if isinstance(passages, list) else [passages])
    ]
    return _label(relevant, queries=queries, corpus=corpus, source=source, labels=labels)


def beir_folder(path: Path) -> Path | None:
    """The folder itself, or the BEIR folder that a file of judgements lies in; None: it is none."""
    if path.is_dir():
        return path
    folder = path.parent.parent
    lies_in_one = path.parent.name == "qrels" and (folder / _BEIR_TEXTS[0]).is_file()
    return folder if lies_in_one and path.suffix.lower() == ".tsv" else None


def training_qrels(path: Path) -> Path:
    """What is trained on where a BEIR folder is named: its qrels/train.tsv, if there is one."""
    train = path / "qrels" / "train.tsv"
    return train if train.is_file() else path


def test_qrels(path: Path) -> Path | None:
    """What a tuning on `training_qrels` of a BEIR folder is judged by: its qrels/test.tsv."""
    test = path / "qrels" / "test.tsv"
    return test if test.is_file() and training_qrels(path) != path else None


def judgements_of(path: Path) -> str | None:
    """A sentence on the judgements that `read_beir` takes; None for anything but a BEIR folder."""
    folder = beir_folder(path)
    if folder is None or not (folder / "qrels").is_dir():
        return None
    files = _qrels(path, folder)
    scores = [score for file in files for _, score in _read_qrels(file)]
    graded = sum(score > 1 for score in scores)
    grades = f"; {graded} of them are graded above 1 and count as 1" if graded else ""
    return f"{', '.join(map(str, files))}: {len(scores)} judgements{grades}"


def read_beir(path: Path) -> list[LabelledQuestion]:
    """Read a BEIR folder: corpus.jsonl, queries.jsonl and judgements, those above 0 being right.

    Arguments:
        path: the folder, of whose judgements qrels/test.tsv are taken, or else dev.tsv, train.tsv
            or all that there are; or one file of judgements in it.
    Raises:
        PairsError: a file is missing or broken, or names what another does not hold.
    """
    folder = beir_folder(path) or path
    qrels = _qrels(path, folder)
    if not qrels or not all((folder / name).is_file() for name in _BEIR_TEXTS):
        raise PairsError(
            f"{folder} is not a BEIR folder: expected corpus.jsonl, queries.jsonl and qrels/*.tsv; "
            "name a file of questions, or mend the folder"
        )
    relevant = [judgement for file in qrels for judgement, _ in _read_qrels(file)]
    queries = _texts(folder / "queries.jsonl", {query for query, _ in relevant})
    corpus = _texts(folder / "corpus.jsonl", {passage for _, passage in relevant})
    return _label(relevant, queries=queries, corpus=corpus, source=str(folder))


def _qrels(path: Path, folder: Path) -> list[Path]:
    """The files of judgements that are meant."""
    if path != folder:
        return [path]
    there = {file.stem: file for file in sorted((folder / "qrels").glob("*.tsv"))}
    first = next((there[name] for name in _QRELS if name in there), None)
    return [first] if first else list(there.values())


def _label(
    relevant: Iterable[tuple[str, Any]],
    *,
    queries: Mapping[str, Any],
    corpus: Mapping[str, Any],
    source: str,
    labels: Mapping[str, Mapping[str, Any]] = {},
) -> list[LabelledQuestion]:
    labelled = []
    for query, passage in relevant:
        for key, kind, texts in ((query, "query", queries), (passage, "passage", corpus)):
            if not isinstance(key, str) or not isinstance(texts.get(key), str):
                raise PairsError(
                    f"{source} calls a passage right for a query, but holds no text of the {kind} "
                    f"{key!r}; add it or take the judgement out"
                )
        question = normalise(queries[query])
        if question:
            said = {"document": passage, **labels.get(query, {})}
            labelled.append(LabelledQuestion(question, normalise(corpus[passage]), **said))
    return labelled


def _read_qrels(path: Path) -> Iterator[tuple[tuple[str, str], float]]:
    """Yield the ids of queries and passages whose score is above 0, and this score."""
    for number, line in enumerate(_lines(path), 1):
        cells = line.rstrip("\r\n").split("\t")
        if number == 1 and cells != QRELS_HEADER:
            raise PairsError(
                f"{path} begins with {line.strip()!r}; write the header query-id, corpus-id, score "
                "there, with tabs between"
            )
        if number > 1 and line.strip():
            score = _score(cells, f"{path}, line {number}")
            if score > 0:
                yield (cells[0], cells[1]), score


def _score(cells: list[str], place: str) -> float:
    try:
        _, _, score = cells
        return float(score)
    except ValueError:
        raise PairsError(
            f"{place} holds {cells}; expected a query's id, a passage's id and a score, with tabs "
            "between"
        ) from None


def _texts(path: Path, wanted: set[str]) -> dict[str, str]:
    """Read the texts of the ids wanted; the rest of a large corpus is passed over."""
    texts = {}
    for place, row in parse_lines(_lines(path), path):
        key = str(row.get("_id", ""))
        if key in wanted:
            # A passage may be nothing but its title.
            field = "text" if row.get("text") or not row.get("title") else "title"
            texts[key] = text_of(row, field, place)
    return texts


def _lines(path: Path) -> Iterator[str]:
    """Yield lines one by one, so that a corpus need not fit in memory; BEIR is UTF-8."""
    with path.open(encoding="utf-8-sig") as file:
        try:
            yield from file
        except UnicodeDecodeError as error:
            raise PairsError(f"{path} is not UTF-8 ({error.reason}); write it as UTF-8") from None
