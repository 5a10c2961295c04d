"""Late interaction over token embeddings that are kept, a byte a number."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from rag_app.retrieve.chunk_rows import ChunkRows

if TYPE_CHECKING:
    from rag_app.vectors import TokenEmbeddings


@dataclass(frozen=True, eq=False)
class PassageTokens(ChunkRows):
    """The tokens of chunks, with their embeddings.

    Fields:
        ids: (n_rows,) int32, in the model's vocabulary.
        frequencies: (n_ids,) int64, by id: how many chunks hold the token.
    """

    COLUMNS: ClassVar[dict[str, Any]] = {**ChunkRows.COLUMNS, "ids": np.int32}

    ids: npt.NDArray[np.int32]
    frequencies: npt.NDArray[np.int64]

    def scores(self, question: "TokenEmbeddings", chunk_ids: Sequence[str]) -> dict[str, float]:
        """Chunk id -> the mean, over the question's tokens, of the nearest token's cosine (MaxSim).

        Khattab and Zaharia 2020, "ColBERT", arXiv 2004.12832, section 3.2. A token weighs as much
        as it is rare, by inverse document frequency: Zhang et al. 2020, "BERTScore", arXiv
        1904.09675, section 3. Chunks that are not here, or have no tokens, are left out.
        """
        known, begins, rows = self.gathered(chunk_ids)
        if not known or not len(question.ids):
            return {}
        nearest = np.maximum.reduceat(rows.cosines(question.vectors), begins, axis=0)
        weights = self.rarity(question.ids)
        return dict(zip(known, (nearest @ (weights / weights.sum())).tolist(), strict=True))

    def rarity(self, ids: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """Inverse document frequencies of tokens, (n_tokens,): above 0, also in every chunk."""
        found = np.zeros(len(ids))
        seen = ids < len(self.frequencies)
        found[seen] = self.frequencies[ids[seen]]
        return np.log((len(self.chunk_ids) + 1) / (found + 0.5)).astype(np.float32)
