"""Documents of an ingest that say what another one says, and leaving them out.

What is compared is kept beside the index, so that a document need not be read to be compared with
one that is new; and what was found, so that nothing is compared where nothing changed. Like
`files.json` both only save work: a document counts under the hash that its chunks carry.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np

from rag_app.disk import whole_file, write_whole
from rag_app.text.near_duplicates import Indices, cluster_sets, shingle_array
from rag_app.text.numbers import number_words

if TYPE_CHECKING:
    from rag_app.documents import ReadResult

# Jaccard similarity of three-word shingles, as collections of texts are freed of near-duplicates
# elsewhere (Lee et al. 2022, "Deduplicating training data makes language models better"). Half, as
# documents are kept together in a split, is too little to leave one out.
SAME_TEXT = 0.8
WORDINGS, FOUND = "shingles.npz", "duplicates.json"


@dataclass(frozen=True, slots=True)
class Wording:
    """What of a document is compared.

    Fields:
        shingles: as `shingle_array` makes them.
        numbers: a hash of the words that are numbers: documents that differ in one of them say
            other things.
    """

    shingles: Indices
    numbers: int

    @classmethod
    def of(cls, text: str) -> "Wording":
        """The wording of a text."""
        stated = " ".join(sorted(number_words(text))).encode("utf-8", "surrogatepass")
        return cls(shingle_array(text), int.from_bytes(sha256(stated).digest()[:7]))

    def is_like(self, other: "Wording") -> bool:
        """Whether the other one says the same."""
        common = len(np.intersect1d(self.shingles, other.shingles, assume_unique=True))
        union = len(self.shingles) + len(other.shingles) - common
        return self.numbers == other.numbers and common >= SAME_TEXT * union


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Documents that say what an earlier one says.

    Fields:
        originals: document id -> id of the first document, by path, that says the same.
        left_out: whether they were left out of the index.
    """

    originals: dict[str, str] = field(default_factory=dict)
    left_out: bool = False


def first_of_each(wordings: Mapping[str, Wording]) -> dict[str, str]:
    """Of documents in their order: those that say what an earlier one says -> the first such.

    A document is compared with those that are no duplicates themselves.
    """
    names, all_of = list(wordings), list(wordings.values())
    labels = cluster_sets([one.shingles for one in all_of], at_least=SAME_TEXT)
    kept: dict[tuple[int, int], list[int]] = defaultdict(list)
    found = {}
    for number, (label, wording) in enumerate(zip(labels.tolist(), all_of, strict=True)):
        alike = kept[label, wording.numbers]
        first = next((one for one in alike if wording.is_like(all_of[one])), None)
        if first is None:
            alike.append(number)
        else:
            found[names[number]] = names[first]
    return found


class KeptWordings:
    """Wordings of the documents of an index, by the hash of the document, and what was found.

    Arguments:
        folder: of the index.
    """

    def __init__(self, folder: Path) -> None:
        self._wordings, self._found = folder / WORDINGS, folder / FOUND

    def duplicates_of(self, reading: "ReadResult", indexed: Collection[str]) -> dict[str, str]:
        """As `first_of_each`, of all documents that were read now or before, by path.

        Arguments:
            indexed: hashes of documents that the index holds: their wordings are kept, too.
        """
        from rag_app.chunks import document_hash

        texts = {document_hash(document): document.text for document in reading.documents}
        documents = sorted(
            [
                (str(document.metadata.get("path", "")), document.node_id, document_hash(document))
                for document in reading.documents
            ]
            + [
                (str(path), name, digest)
                for path, kept in reading.kept.items()
                for name, digest in kept.documents.items()
            ]
        )
        key = sha256(json.dumps(documents).encode()).hexdigest()
        if (before := _load_found(self._found, key)) is not None:
            return before
        known = _load_wordings(self._wordings)
        for digest in texts.keys() - known.keys():
            known[digest] = Wording.of(texts[digest])
        found = first_of_each({name: known[d] for _, name, d in documents if d in known})
        there = {digest for _, _, digest in documents}.union(indexed)
        self._save(key, found, {digest: one for digest, one in known.items() if digest in there})
        return found

    def _save(self, key: str, found: Mapping[str, str], wordings: Mapping[str, Wording]) -> None:
        shingles = [one.shingles for one in wordings.values()]
        # It only saves work.
        with suppress(OSError):
            with whole_file(self._wordings) as new, new.open("r+b") as file:
                np.savez(
                    file,
                    digests=np.array(list(wordings), dtype="S64"),
                    numbers=np.array([one.numbers for one in wordings.values()], dtype=np.int64),
                    ends=np.cumsum([len(one) for one in shingles], dtype=np.int64),
                    shingles=np.concatenate([*shingles, np.empty(0, np.int64)]),
                )
            write_whole(self._found, json.dumps({"key": key, "originals": found}))


def without_duplicates(reading: "ReadResult", originals: Collection[str]) -> "ReadResult":
    """What was read, and what is kept, without these documents."""
    kept = {
        path: replace(one, documents={n: d for n, d in one.documents.items() if n not in originals})
        for path, one in reading.kept.items()
    }
    documents = [one for one in reading.documents if one.node_id not in originals]
    return replace(reading, documents=documents, kept=kept)


def _load_found(path: Path, key: str) -> dict[str, str] | None:
    """What was found among the same documents; None where others were compared."""
    try:
        found = json.loads(path.read_text("utf-8"))
        return dict(found["originals"]) if found["key"] == key else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _load_wordings(path: Path) -> dict[str, Wording]:
    """What the file holds; nothing where it is damaged."""
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            each = np.split(file["shingles"], file["ends"][:-1])
            digests, numbers = file["digests"].astype(str).tolist(), file["numbers"].tolist()
            return dict(zip(digests, map(Wording, each, numbers), strict=True))
    except (OSError, EOFError, ValueError, KeyError, BadZipFile):
        return {}
