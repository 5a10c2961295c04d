"""How documents are to be cut: the settings, which need no library."""

from dataclasses import dataclass

from rag_app.errors import ConfigError, refuse_unknown
from rag_app.text.sentences import SENTENCE_SPLITTERS

SMALLEST_CHUNK, LARGEST_CHUNK = 16, 8192


@dataclass(frozen=True)
class Chunking:
    """How documents are cut. Sizes are tokens as the model sees them, prompt and marks included."""

    chunk_size: int = 256
    chunk_overlap: int = 32
    sentences: str = "rules"

    @property
    def is_whole(self) -> bool:
        """Whether documents are passages already, and are not cut."""
        return self.chunk_size == WHOLE_PASSAGES.chunk_size

    @property
    def label(self) -> str:
        """Size and overlap, such as "256/32"; of passages that are not cut "whole"."""
        return "whole" if self.is_whole else f"{self.chunk_size}/{self.chunk_overlap}"

    def check(self) -> None:
        """Refuse sizes that no index can have.

        Raises:
            ConfigError: a size out of range, an overlap of more than half of it, or an unknown way
                to find sentences.
        """
        whole = isinstance(self.chunk_size, int)
        if not whole or not SMALLEST_CHUNK <= self.chunk_size <= LARGEST_CHUNK:
            raise ConfigError(
                f"chunk_size is {self.chunk_size!r}; it takes {SMALLEST_CHUNK} to {LARGEST_CHUNK} "
                "tokens"
            )
        if not isinstance(self.chunk_overlap, int) or self.chunk_overlap < 0:
            raise ConfigError(f"chunk_overlap is {self.chunk_overlap!r}; it takes 0 or more tokens")
        if self.chunk_overlap * 2 > self.chunk_size:
            raise ConfigError(
                f"chunk_overlap is {self.chunk_overlap}, more than half of chunk_size "
                f"{self.chunk_size}; name a smaller --chunk-overlap"
            )
        refuse_unknown("sentences", self.sentences, SENTENCE_SPLITTERS)


# Of documents that are passages already.
WHOLE_PASSAGES = Chunking(chunk_size=1_000_000, chunk_overlap=0)
