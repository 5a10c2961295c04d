"""Secrets out of text that people will see."""

import re
from collections.abc import Iterable

HIDDEN = "***"
_IN_URL = re.compile(r"(?<=://)[^/@\s'\"]+(?=@)")
# Shorter ones would blot out words that hold them by chance.
_SHORTEST = 4


def masked(text: str, secrets: Iterable[str] = ()) -> str:
    """A text without names and passwords in URLs, and without these secrets.

    >>> masked("nothing answers at http://me:pass@host:8000/v1")
    'nothing answers at http://***@host:8000/v1'
    >>> masked("the server refuses s3cret", ["s3cret"])
    'the server refuses ***'
    """
    for secret in secrets:
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, HIDDEN)
    return _IN_URL.sub(HIDDEN, text)
