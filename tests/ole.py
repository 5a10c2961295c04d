"""Writes OLE compound files (MS-CFB), which .msg and .hwp files are, of a few streams."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

SECTOR, MINI_SECTOR, LEAST_BIG = 512, 64, 4096
FREE, END, FAT, NONE = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFF
STORAGE, STREAM, ROOT = 1, 2, 5

Folder = dict[str, "bytes | Folder"]


@dataclass
class Entry:
    """One entry of the directory; the numbers are those of other entries, or of sectors."""

    name: str
    kind: int
    left: int = NONE
    right: int = NONE
    child: int = NONE
    start: int = END
    size: int = 0

    def packed(self) -> bytes:
        name = self.name.encode("utf-16-le") + b"\0\0"
        head = name.ljust(64, b"\0") + struct.pack("<HBB", len(name), self.kind, 1)
        return (
            head
            + struct.pack("<III", self.left, self.right, self.child)
            + bytes(36)
            + struct.pack("<IQ", self.start, self.size)
        )


@dataclass
class Sectors:
    """Pieces of one size, and of each which piece follows it."""

    size: int
    data: bytearray = field(default_factory=bytearray)
    following: list[int] = field(default_factory=list)

    def add(self, data: bytes) -> int:
        """Add a stream; returns its first piece."""
        first, count = len(self.following), -(-len(data) // self.size)
        self.data += data.ljust(count * self.size, b"\0")
        self.following += [*range(first + 1, first + count), END] if count else []
        return first if count else END


@dataclass
class File:
    """The directory of a compound file, and the sectors of its large and small streams."""

    entries: list[Entry] = field(default_factory=lambda: [Entry("Root Entry", ROOT)])
    big: Sectors = field(default_factory=lambda: Sectors(SECTOR))
    small: Sectors = field(default_factory=lambda: Sectors(MINI_SECTOR))

    def add(self, folder: "Folder") -> int:
        """Add what a folder holds; returns the number of the entry at the root of its tree."""
        numbers = []
        for name in sorted(folder, key=lambda one: (len(one), one.upper())):
            numbers.append(len(self.entries))
            inner = folder[name]
            if isinstance(inner, bytes):
                sectors = self.big if len(inner) >= LEAST_BIG else self.small
                entry = Entry(name, STREAM, start=sectors.add(inner), size=len(inner))
                self.entries.append(entry)
            else:
                entry = Entry(name, STORAGE)
                self.entries.append(entry)
                entry.child = self.add(inner)
        return self.balanced(numbers)

    def balanced(self, numbers: list[int]) -> int:
        """The root of a tree of these entries, which are in order."""
        if not numbers:
            return NONE
        middle = len(numbers) // 2
        root = self.entries[numbers[middle]]
        root.left = self.balanced(numbers[:middle])
        root.right = self.balanced(numbers[middle + 1 :])
        return numbers[middle]

    def packed(self) -> bytes:
        self.entries[0].start = self.big.add(bytes(self.small.data))
        self.entries[0].size = len(self.small.data)
        directory = self.big.add(b"".join(entry.packed() for entry in self.entries))
        small = numbers(self.small.following)
        minifat, n_minifat = self.big.add(small), len(small) // SECTOR
        used, n_fat = len(self.big.following), 1
        while (used + n_fat) * 4 > n_fat * SECTOR:
            n_fat += 1
        fat = numbers([*self.big.following, *[FAT] * n_fat])
        places = [*range(used, used + n_fat), *[FREE] * (109 - n_fat)]
        header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16)
        header += struct.pack("<5H6x", 0x3E, 3, 0xFFFE, 9, 6)
        header += struct.pack("<5I", 0, n_fat, directory, 0, LEAST_BIG)
        header += struct.pack("<4I", minifat, n_minifat, END, 0)
        return header + struct.pack("<109I", *places) + bytes(self.big.data) + fat


def numbers(following: list[int]) -> bytes:
    """A table of sectors that fills sectors itself."""
    packed = struct.pack(f"<{len(following)}I", *following)
    return packed.ljust(-(-len(packed) // SECTOR) * SECTOR, b"\xff")


def ole(streams: Mapping[str, bytes]) -> bytes:
    """A compound file; "a/b" is the stream b in the storage a.

    >>> ole({"a/b": b"text"})[:4].hex()
    'd0cf11e0'
    """
    top: Folder = {}
    for path, data in streams.items():
        *folders, name = path.split("/")
        place = top
        for folder in folders:
            inner = place.setdefault(folder, {})
            assert isinstance(inner, dict)
            place = inner
        place[name] = data
    file = File()
    file.entries[0].child = file.add(top)
    return file.packed()
