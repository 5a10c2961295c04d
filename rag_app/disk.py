"""What a full disk looks like in the errors of the libraries that write to it."""

import errno

# As safetensors and Chroma (written in Rust), SQLite, and torch.save say it; the last of them keeps
# the reason to itself.
_FULL = (
    "no space left on device",
    "disk quota exceeded",
    "disk is full",
    "pytorchstreamwriter failed writing",
    "] . unexpected pos ",
)


def disk_is_full(error: BaseException) -> bool:
    """Whether an error says that the disk, or a quota on it, is full."""
    text = str(error).lower()
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or any(
        words in text for words in _FULL
    )
