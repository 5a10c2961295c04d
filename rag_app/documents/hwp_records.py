"""The container of .hwp documents: an OLE file whose streams are trees of records.

As Hancom's "Hangul document file format 5.0" describes them.
"""

import io
import re
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rag_app.documents.archive import MAX_UNZIPPED_BYTES
from rag_app.documents.extras import imported
from rag_app.documents.sources import Source
from rag_app.errors import DocumentError

_SIGNATURE = b"HWP Document File"
_COMPRESSED = 1
# A password, a copy for distribution, DRM, a certificate, DRM by certificate.
_LOCKED = 1 << 1 | 1 << 2 | 1 << 4 | 1 << 8 | 1 << 10
_ABOUT = "\x05HwpSummaryInformation"
_ABOUT_NUMBERS = {2: "title", 4: "creator", 12: "created", 13: "modified"}
_SECTION = re.compile(r"BodyText/Section(\d+)")
_SHAPES = "DocInfo"
_CHARACTER_SHAPE = 21
# Bits of a shape's flags, which stand behind its fonts, their looks in seven scripts and the size.
_FLAGS_AT, _RAISED, _LOWERED = 46, 1 << 15, 1 << 16
# A size that does not fit its twelve bits stands behind the header.
_LONG = 0xFFF


@dataclass(frozen=True, slots=True)
class Record:
    """A record, and those of the next level that follow it."""

    tag: int
    data: bytes
    inner: "list[Record]" = field(default_factory=list)

    def walk(self) -> "Iterator[Record]":
        """This record and all below it."""
        waiting = [self]
        while waiting:
            record = waiting.pop()
            yield record
            waiting += reversed(record.inner)


@dataclass(frozen=True)
class HwpDocument:
    """What is in an .hwp document.

    Fields:
        sections: of each, the records of its first level.
        about: title, creator, created, modified; those that it has.
        heights: of each shape of letters, 1 where these are raised, -1 where they are lowered.
    """

    sections: Sequence[Sequence[Record]]
    about: Mapping[str, Any]
    heights: Sequence[int]


def open_hwp(source: Source) -> HwpDocument:
    """Take an .hwp document apart.

    Raises:
        DocumentError: it is none, is locked or damaged, or olefile is not installed.
    """
    olefile = imported("olefile", extra="hwp")
    data = source.read_bytes()
    if not olefile.isOleFile(data=data):
        raise DocumentError(
            "is not an .hwp document of Hangul 5 or later (an older one?); save it as .hwpx"
        )
    try:
        with olefile.OleFileIO(io.BytesIO(data)) as ole:
            compressed = _is_compressed(ole)
            sections = list(_sections(ole, compressed=compressed))
            return HwpDocument(sections, _about(ole), _heights(ole, compressed=compressed))
    except (OSError, struct.error, zlib.error) as error:
        raise DocumentError(f"cannot be parsed ({error}); save it again as .hwpx") from None


def _is_compressed(ole: Any) -> bool:
    header = ole.openstream("FileHeader").read()
    if not header.startswith(_SIGNATURE):
        raise DocumentError("is not an .hwp document, whatever its name says")
    (flags,) = struct.unpack_from("<I", header, 36)
    if flags & _LOCKED:
        raise DocumentError(
            "is encrypted (a password, a copy for distribution, or DRM); save it without that in "
            "Hangul, or as PDF"
        )
    return bool(flags & _COMPRESSED)


def _sections(ole: Any, *, compressed: bool) -> Iterator[list[Record]]:
    found = {
        int(match[1]): match[0]
        for match in map(_SECTION.fullmatch, map("/".join, ole.listdir()))
        if match
    }
    room = MAX_UNZIPPED_BYTES
    for number in sorted(found):
        data = ole.openstream(found[number]).read()
        if compressed:
            data = _unpacked(data, room)
        room -= len(data)
        yield tree(data)


def _heights(ole: Any, *, compressed: bool) -> list[int]:
    if not ole.exists(_SHAPES):
        return []
    data = ole.openstream(_SHAPES).read()
    every = tree(_unpacked(data, MAX_UNZIPPED_BYTES) if compressed else data)
    shapes = (one.data for top in every for one in top.walk() if one.tag == _CHARACTER_SHAPE)
    flags = (int.from_bytes(shape[_FLAGS_AT : _FLAGS_AT + 4], "little") for shape in shapes)
    return [bool(one & _RAISED) - bool(one & _LOWERED) for one in flags]


def _unpacked(data: bytes, room: int) -> bytes:
    """Unpack a stream.

    Raises:
        DocumentError: it is cut short, or unpacks to more than there is room for.
    """
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    unpacked = unpacker.decompress(data, room + 1)
    if len(unpacked) > room:
        megabytes = MAX_UNZIPPED_BYTES // 1024**2
        raise DocumentError(f"unpacks to more than {megabytes} MB; split it into smaller files")
    if not unpacker.eof:
        raise DocumentError("is cut short: a part of its text is missing; fetch or save it again")
    return unpacked


def tree(data: bytes) -> list[Record]:
    """The records of a stream, those of its first level with all others below them."""
    top: list[Record] = []
    above: list[tuple[int, list[Record]]] = [(-1, top)]
    for level, record in _records(data):
        while above[-1][0] >= level:
            above.pop()
        above[-1][1].append(record)
        above.append((level, record.inner))
    return top


def _records(data: bytes) -> Iterator[tuple[int, Record]]:
    """Records with their levels; each header is ten bits of tag, ten of level, twelve of size."""
    at = 0
    while at < len(data):
        (header,) = struct.unpack_from("<I", data, at)
        at += 4
        size = header >> 20
        if size == _LONG:
            (size,) = struct.unpack_from("<I", data, at)
            at += 4
        if at + size > len(data):
            raise DocumentError("is damaged: one of its records has no end; save it again")
        yield header >> 10 & 0x3FF, Record(header & 0x3FF, data[at : at + size])
        at += size


def _about(ole: Any) -> dict[str, Any]:
    """What the document says of itself."""
    if not ole.exists(_ABOUT):
        return {}
    values = ole.getproperties(_ABOUT, convert_time=True)
    found = {name: _plain(values.get(number)) for number, name in _ABOUT_NUMBERS.items()}
    return {name: value for name, value in found.items() if value}


def _plain(value: Any) -> Any:
    """A value without what olefile reads behind the end of a text."""
    return value.partition("\0")[0].strip() if isinstance(value, str) else value
