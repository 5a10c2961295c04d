"""What a sweep tries: every combination of models, chunk sizes, overlaps and retrievers."""

import itertools
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from rag_app.chunking import Chunking
from rag_app.errors import ConfigError

if TYPE_CHECKING:
    from rag_app.retrieve import RetrievalOptions

SIZES = (128, 256, 512, 1024)
RETRIEVERS = ("vector", "keyword", "hybrid:auto", "hybrid:learned")
# Overlap of a chunk size, unless overlaps are named: an eighth of it.
OVERLAP_PART = 8


@dataclass(frozen=True)
class Grid:
    """Values to combine.

    Fields:
        chunk_sizes: in the embedding model's tokens.
        chunk_overlaps: in the same; None: an eighth of each size.
        models: names or folders; none: that of the index in service.
        retrievers: as `RetrievalOptions.with_spec` reads them.
    """

    chunk_sizes: tuple[int, ...] = SIZES
    chunk_overlaps: tuple[int, ...] | None = None
    models: tuple[str, ...] = ()
    retrievers: tuple[str, ...] = RETRIEVERS

    @classmethod
    def of(cls, **values: object) -> "Grid":
        """A grid of these fields.

        Raises:
            ConfigError: an unknown field, or a value of another type.
        """
        known = {
            field.name: int if field.name.startswith("chunk") else str for field in fields(cls)
        }
        for key, value in values.items():
            if key not in known:
                raise ConfigError(f"the grid has an unknown key {key!r}; known: {', '.join(known)}")
            if not isinstance(value, list | tuple) or not all(
                type(one) is known[key] for one in value
            ):
                kind = "numbers" if known[key] is int else "texts in quotes"
                raise ConfigError(f"{key} is {value!r}; it takes a list of {kind}")
        return cls(**{key: tuple(value) for key, value in values.items()})  # type: ignore[arg-type]


@dataclass(frozen=True)
class Setting:
    """One combination.

    Fields:
        kept: its hybrid has the weights that the index keeps, not ones to be learned.
    """

    model: str
    chunking: Chunking
    retrieval: "RetrievalOptions"
    kept: bool = False

    @property
    def name(self) -> str:
        """Such as "all-MiniLM-L6-v2 256/32 hybrid:0.6"."""
        return f"{self.model_label} {self.label}"

    @property
    def words(self) -> str:
        """The label as one would say it: "256 tokens (overlap 32), hybrid:0.6"."""
        chunking = self.chunking
        size = f"{chunking.chunk_size} tokens (overlap {chunking.chunk_overlap})"
        return f"{'whole passages' if chunking.is_whole else size}, {self._spec}"

    @property
    def model_label(self) -> str:
        """The end of the model's name."""
        return self.model.rstrip("/").rsplit("/", 1)[-1]

    @property
    def label(self) -> str:
        """The name without its model."""
        return f"{self.chunking.label} {self._spec}"

    @property
    def _spec(self) -> str:
        return f"{self.retrieval.spec} (kept)" if self.kept else self.retrieval.spec


def read_grid(path: Path) -> Grid:
    """Read a TOML file with the fields of Grid.

    Raises:
        ConfigError: the file cannot be read, an unknown key, a value of another type.
    """
    from rag_app.config import read_toml

    try:
        values = read_toml(path)
    except (FileNotFoundError, ConfigError) as error:
        raise ConfigError(f"{path} cannot be read as a grid: {error}; mend the file") from None
    try:
        return Grid.of(**values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def chunkings(grid: Grid, sentences: str) -> list[Chunking]:
    """The ways to cut documents.

    Raises:
        ConfigError: a size or an overlap that no chunk can have, or none at all.
    """
    sized = [
        Chunking(size, overlap, sentences)
        for size in grid.chunk_sizes
        for overlap in grid.chunk_overlaps or (size // OVERLAP_PART,)
    ]
    for chunking in sized:
        chunking.check()
    if not sized:
        raise ConfigError("there is no chunk size to try; name some with --chunk-sizes 128,256")
    return sized


def settings_of(grid: Grid, own: "RetrievalOptions", *, sentences: str) -> list[Setting]:
    """Every combination, each once; `own` has the filter and numbers that are the same for all.

    Raises:
        ConfigError: as `chunkings`, or a retriever that cannot be read, or none.
    """
    retrievals = [own.with_spec(spec) for spec in grid.retrievers]
    if not retrievals:
        raise ConfigError("there is no retriever to try; name some with --retriever vector")
    combined = itertools.product(grid.models, chunkings(grid, sentences), retrievals)
    return list(dict.fromkeys(Setting(*each) for each in combined))
