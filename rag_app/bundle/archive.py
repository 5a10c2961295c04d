"""Archives: .tar.gz and .tar.zst, written whole and read member by member."""

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rag_app.disk import whole_file
from rag_app.errors import ConfigError

GZIP, ZSTD = ".gz", ".zst"
ENDINGS = (".tar.gz", ".tgz", ".tar.zst")
# Weights, the most of it, hardly get smaller.
GZIP_LEVEL, ZSTD_LEVEL = 1, 3


def compression(path: Path) -> str:
    """GZIP or ZSTD, by the archive's name.

    Raises:
        ConfigError: another name, or zstandard is not installed.
    """
    name = path.name.lower()
    if not name.endswith(ENDINGS):
        raise ConfigError(f"{path} is no name of a bundle; end it in one of {', '.join(ENDINGS)}")
    if not name.endswith(ZSTD):
        return GZIP
    try:
        import zstandard  # noqa: F401
    except ImportError:
        raise ConfigError(
            f"{path}: zstd needs a package that is not installed; run "
            "`pip install 'rag-app[zstd]'`, or use .tar.gz"
        ) from None
    return ZSTD


@contextmanager
def written_archive(path: Path) -> Iterator[tarfile.TarFile]:
    """An archive to be filled by the block; it is there whole or not at all.

    Raises:
        OSError: as the system says.
    """
    kind = compression(path)
    with whole_file(path) as partial:
        if kind == GZIP:
            with tarfile.open(partial, "w:gz", compresslevel=GZIP_LEVEL) as archive:
                yield archive
            return
        import zstandard

        packer = zstandard.ZstdCompressor(level=ZSTD_LEVEL)
        with (
            partial.open("r+b") as file,
            packer.stream_writer(file) as stream,
            tarfile.open(fileobj=stream, mode="w|") as archive,
        ):
            yield archive


@contextmanager
def read_archive(path: Path) -> Iterator[tarfile.TarFile]:
    """An archive whose members are read in their order.

    Raises:
        OSError: as the system says.
    """
    if compression(path) == GZIP:
        with tarfile.open(path, "r|gz") as archive:
            yield archive
        return
    import zstandard

    with (
        path.open("rb") as file,
        zstandard.ZstdDecompressor().stream_reader(file) as stream,
        tarfile.open(fileobj=stream, mode="r|") as archive,
    ):
        yield archive


def damages() -> tuple[type[Exception], ...]:
    """What reading a damaged archive raises."""
    import zlib

    found: list[type[Exception]] = [tarfile.TarError, EOFError, zlib.error, ValueError]
    try:
        import zstandard
    except ImportError:
        return tuple(found)
    return (*found, zstandard.ZstdError)
