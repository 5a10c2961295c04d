"""BM25 over passages: what words alone find."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rag_app.retrieve.terms import terms

if TYPE_CHECKING:
    import numpy.typing as npt


class KeywordIndex:
    """Okapi BM25 by bm25s (Lù 2024, arXiv 2407.03618), with our terms: Korean by syllable pairs."""

    def __init__(self, texts: Sequence[str]) -> None:
        import bm25s  # type: ignore[import-untyped]

        self._size = len(texts)
        self._index = bm25s.BM25()
        self._index.index([terms(text) or [""] for text in texts], show_progress=False)

    def top(self, questions: Sequence[str], top_k: int) -> list["npt.NDArray[np.int64]"]:
        """Rows of the best passages of each question, best first; those that share a word only."""
        return [self._top(terms(question), min(top_k, self._size)) for question in questions]

    def _top(self, words: list[str], top_k: int) -> "npt.NDArray[np.int64]":
        known = [word for word in words if word in self._index.vocab_dict]
        if not known:
            return np.empty(0, np.int64)
        scores = self._index.get_scores(known)
        rows = np.argsort(-scores, kind="stable")[:top_k]
        found: npt.NDArray[np.int64] = rows[scores[rows] > 0].astype(np.int64)
        return found
