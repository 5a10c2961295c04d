"""Names of what a run writes: safe on any file system, and no two alike."""

import hashlib
import itertools
import re
from collections.abc import Sequence

# Characters of up to 3 bytes; file systems take 255.
LONGEST_FILE_NAME = 75


def file_names(labels: Sequence[str]) -> list[str]:
    """A name for each label's file, without an ending; of two that are alike the second is -2.

    >>> file_names(["tiny 64/0 vector", "tiny 64/0 hybrid:0.7", "tiny 64-0 vector"])
    ['tiny-64-0-vector', 'tiny-64-0-hybrid0.7', 'tiny-64-0-vector-2']
    """
    names: list[str] = []
    for label in labels:
        plain = re.sub(r"[^\w.+:-]+", "-", label).replace(":", "")[:LONGEST_FILE_NAME]
        further = (f"{plain}-{number}" for number in itertools.count(2))
        names.append(next(name for name in itertools.chain([plain], further) if name not in names))
    return names


def key_of(*asked: object) -> str:
    """Eight hex digits that differ where what was asked differs, and are the same again.

    Arguments:
        asked: names, and requests whose `repr` has all of their fields.
    """
    return hashlib.sha256(repr(asked).encode()).hexdigest()[:8]
