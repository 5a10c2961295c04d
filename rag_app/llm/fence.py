"""The lines that part other people's text from a prompt's rules."""

import hashlib


def fence(*texts: str) -> str:
    """A line for around these texts that none of them can hold.

    It is their hash: whoever writes a document would have to put the hash of the whole request,
    this document included, into it. A random line would do as well, but the same request would
    then be another prompt each time, and so get another answer.
    """
    digest = hashlib.sha256("\0".join(texts).encode("utf-8", "replace")).hexdigest()
    return f"-----{digest[:16]}-----"
