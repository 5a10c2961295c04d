"""ZIP archives that are documents: opened with a bound on what they unpack to, members as XML."""

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from xml.etree.ElementTree import Element, ParseError, fromstring

from rag_app.documents.sources import Source
from rag_app.errors import DocumentError

MAX_UNZIPPED_BYTES = 400 * 1024**2


@contextmanager
def opened(source: Source, *, what: str) -> Iterator[zipfile.ZipFile]:
    """Open a file that is a ZIP archive.

    Arguments:
        what: the file should be: "an .xlsx workbook".
    Raises:
        DocumentError: it is none, is damaged, or unpacks to too much.
    """
    data = io.BytesIO(source.read_bytes())
    try:
        with zipfile.ZipFile(data) as archive:
            size = sum(member.file_size for member in archive.infolist())
            if size > MAX_UNZIPPED_BYTES:
                megabytes = f"{size / 1024**2:,.0f}"
                raise DocumentError(f"unpacks to {megabytes} MB; split it into smaller files")
            yield archive
    except zipfile.BadZipFile:
        raise DocumentError(
            f"is not {what} (an older format, or one with a password?); save it as "
            f"{source.path.suffix.lower()}"
        ) from None
    except (KeyError, ParseError) as error:
        raise DocumentError(f"cannot be parsed ({error}); save it again") from None


def xml_of(archive: zipfile.ZipFile, member: str) -> Element:
    """Parse a member; expat itself refuses entities that grow, and the process is bounded."""
    return fromstring(archive.read(member))  # noqa: S314


def local(element: Element) -> str:
    """The name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]
