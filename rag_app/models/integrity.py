"""Whether the files of a model's folder are whole; what loads them says it late, or not at all.

Without its tokenizer's file a model may be given an empty one; a weights file that was cut short is
refused in the words of a parser.
"""

import json
import struct
from collections.abc import Iterator
from pathlib import Path

# Settings, and what is larger than settings are: only its end is looked at.
_SETTINGS = frozenset(
    {
        *("config.json", "modules.json", "config_sentence_transformers.json"),
        *("sentence_bert_config.json", "router_config.json"),
        *("tokenizer.json", "tokenizer_config.json"),
    }
)
_LARGE_BYTES = 2_000_000
# Any of them makes a tokenizer.
_TOKENIZERS = frozenset(
    {
        *("tokenizer.json", "vocab.txt", "vocab.json", "whitespacetokenizer_config.json"),
        *("sentencepiece.bpe.model", "spiece.model", "tokenizer.model"),
    }
)
# Tokenizers of bytes or characters have no vocabulary, so no file of their own.
_WITHOUT_FILE = frozenset({"ByT5Tokenizer", "CanineTokenizer", "PerceiverTokenizer"})
# The length of the header, before it (https://huggingface.co/docs/safetensors).
_LENGTH = struct.Struct("<Q")
_LONGEST_HEADER = 100_000_000


def damage_in(folder: Path) -> str | None:
    """What is wrong with the files of a model, to go before a mend; None if they are whole.

    Headers are read, not weights: it takes milliseconds.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return next(_damages(folder, files), None)


def _damages(folder: Path, files: list[Path]) -> Iterator[str]:
    for path in files:
        if why := _damage_of(path):
            yield f"{path} is damaged ({why})"
    if not any(path.name in _TOKENIZERS or _needs_no_file(path) for path in files):
        yield f"{folder} is incomplete (tokenizer.json is missing)"


def _needs_no_file(path: Path) -> bool:
    """Whether these are the settings of a tokenizer without a vocabulary; they are whole."""
    if path.name != "tokenizer_config.json":
        return False
    settings = json.loads(path.read_bytes())
    return isinstance(settings, dict) and settings.get("tokenizer_class") in _WITHOUT_FILE


def _damage_of(path: Path) -> str | None:
    if path.suffix == ".safetensors":
        return _weights_damage(path)
    return _json_damage(path) if path.name in _SETTINGS else None


def _weights_damage(path: Path) -> str | None:
    """Compares a file's size with what its header says."""
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
            if length > min(size, _LONGEST_HEADER):
                return f"{size:,} bytes, shorter than its own header"
            header = json.loads(file.read(length))
        ends = [one["data_offsets"][1] for name, one in header.items() if name != "__metadata__"]
    except OSError as error:
        return error.strerror or type(error).__name__
    except (struct.error, ValueError, LookupError, TypeError, AttributeError):
        return "its header cannot be read"
    meant = _LENGTH.size + length + max(ends, default=0)
    return None if size == meant else f"{size:,} bytes of {meant:,}"


def _json_damage(path: Path) -> str | None:
    try:
        data = path.read_bytes()
        if len(data) > _LARGE_BYTES:
            return None if data.rstrip().endswith(b"}") else "it ends too early"
        json.loads(data)
    except OSError as error:
        return error.strerror or type(error).__name__
    except ValueError as error:
        return f"no JSON: {error}"
    return None
