"""A tokenizer's way with characters as SentencePiece keeps it: a double array over UTF-8 bytes.

llama.cpp normalises texts for a unigram vocabulary by such a map alone: at each place of a text the
longest key is replaced by its value. The layout is that of the library darts-clone, which
SentencePiece uses: the number of bytes of the units, the units, and the values, each ended by a
zero byte. A unit is 32 bits: its byte (bits 0 to 7), whether a key ends there (bit 8), and what its
place is XORed with to find the units below (bits 10 to 30). A unit with bit 31 set is the place of
a value.
"""

import struct
import sys
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from rag_app.errors import ModelError

_VALUE = 1 << 31
_ENDS = 1 << 8
_END = 0
_BLOCK = 256
# Blocks that are still looked at for free units; a block that was left is never full.
_OPEN_BLOCKS = 16
# Categories of characters that mean nothing: surrogates, private use, unassigned.
_WITHOUT_MEANING = ("Cs", "Co", "Cn")
# Katakana of half the width, which become one character with the mark that follows.
_HALF_WIDTH, _HALF_WIDTH_MARKS = range(0xFF66, 0xFF9E), ("\uff9e", "\uff9f")


@dataclass
class _Node:
    """What follows a beginning of keys; `value` where a key ends."""

    below: dict[int, "_Node"] = field(default_factory=dict)
    value: int | None = None


def charsmap(normalise: Callable[[str], str]) -> bytes:
    """The map of a function that changes characters, and composes those that are decomposed."""
    return pack(dict(changes(normalise)))


def changes(normalise: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    """Characters, and decomposed ones, that the function changes, each with what it becomes."""
    for key in _keys():
        if (value := normalise(key)) != key:
            yield key, value


def _keys() -> Iterator[str]:
    for code in range(1, sys.maxunicode + 1):
        character = chr(code)
        if unicodedata.category(character) not in _WITHOUT_MEANING:
            yield from {character, unicodedata.normalize("NFD", character)}
    for letter in _HALF_WIDTH:
        yield from (chr(letter) + mark for mark in _HALF_WIDTH_MARKS)


def pack(replacements: dict[str, str]) -> bytes:
    """Keys and what they become, none of which holds a zero, as units and values.

    Raises:
        ModelError: there are more than the layout has numbers for.
    """
    places: dict[str, int] = {}
    values = bytearray()
    root = _Node()
    for key, value in replacements.items():
        if value not in places:
            places[value] = len(values)
            values += value.encode() + b"\0"
        node = root
        for byte in key.encode():
            node = node.below.setdefault(byte, _Node())
        node.value = places[value]
    units = _Units(root).units.astype("<u4").tobytes()
    return struct.pack("<I", len(units)) + units + bytes(values)


class _Units:
    """The units of a tree of keys; the root's is the first."""

    def __init__(self, root: _Node) -> None:
        self.units = np.zeros(0, np.uint32)
        self._used = np.zeros(0, bool)
        # Two units with one base would take each other's units below for their own.
        self._is_base = np.zeros(0, bool)
        self._more()
        self._used[0] = self._is_base[0] = True
        waiting = [(0, root)]
        while waiting:
            waiting += self._put(*waiting.pop())

    def _put(self, place: int, node: _Node) -> list[tuple[int, _Node]]:
        """Place what is below a unit; where the units of that went, each with its node."""
        ends = [] if node.value is None else [_END]
        base = self._base(np.array([*ends, *node.below], np.int64))
        self.units[place] |= np.uint32((base ^ place) << 10)
        if node.value is not None:
            self.units[place] |= np.uint32(_ENDS)
            self.units[base] = _VALUE | node.value
        for byte in node.below:
            self.units[base ^ byte] = byte
        return [(base ^ byte, below) for byte, below in node.below.items()]

    def _base(self, labels: npt.NDArray[np.int64]) -> int:
        """A base whose units for these labels are free; they are not afterwards."""
        while True:
            start = max(len(self.units) - _OPEN_BLOCKS * _BLOCK, 0)
            bases = start + np.flatnonzero(~self._is_base[start:])
            taken = self._used[bases[:, np.newaxis] ^ labels].any(axis=1)
            free = bases[~taken]
            if len(free):
                base = int(free[0])
                self._is_base[base] = True
                self._used[base ^ labels] = True
                return base
            self._more()

    def _more(self) -> None:
        """One block more."""
        if len(self.units) >= 1 << 21:
            raise ModelError("the tokenizer changes more characters than a GGUF has numbers for")
        self.units = np.append(self.units, np.zeros(_BLOCK, np.uint32))
        self._used = np.append(self._used, np.zeros(_BLOCK, bool))
        self._is_base = np.append(self._is_base, np.zeros(_BLOCK, bool))
