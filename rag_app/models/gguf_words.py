"""A model's tokenizer as GGUF keeps it: WordPiece as llama.cpp's `bert`, unigram as its `t5`.

Keys are those of ggml's GGUF documentation and of the package gguf, which writes them.
"""

import json
from typing import TYPE_CHECKING, Any

from rag_app.errors import ModelError
from rag_app.models.charsmap import charsmap

if TYPE_CHECKING:
    from gguf import GGUFWriter
    from tokenizers import Tokenizer

# What stands before the first piece of a word in llama.cpp, and in WordPiece before all others.
_WORD, _GOES_ON = "\u2581", "##"
CAN = "what can: BERT encoders with a WordPiece or a unigram tokenizer (MiniLM, bge, e5, bge-m3)"


def add_tokenizer(writer: "GGUFWriter", tokenizer: "Tokenizer", *, name: str) -> int:
    """Write a tokenizer's words and what is done to a text before it is cut into them; how many.

    Arguments:
        name: of the model, for the message.
    Raises:
        ModelError: a tokenizer of another kind.
    """
    saved = json.loads(tokenizer.to_str())
    kind = saved["model"]["type"]
    has_unknown = saved["model"].get("unk_id", 0) is not None
    if kind not in _KINDS or _ends(saved) is None or not has_unknown:
        raise ModelError(
            f"{name} has a tokenizer ({kind}) that cannot be exported as GGUF; {CAN}. "
            "`rag-app export onnx` writes this model"
        )
    words = _words(tokenizer)
    special = {one["content"] for one in saved["added_tokens"] if one["special"]}
    unknown = _KINDS[kind](writer, tokenizer, words, special)
    writer.add_token_types(_types(words, special, unknown=unknown))
    writer.add_token_type_count(1)
    _add_special(writer, tokenizer, saved, unknown=unknown)
    return len(words)


def _words(tokenizer: "Tokenizer") -> list[str]:
    """Tokens by number, and names for numbers that have none."""
    found = map(tokenizer.id_to_token, range(tokenizer.get_vocab_size()))
    return [f"<no token {number}>" if one is None else one for number, one in enumerate(found)]


def _wordpiece(
    writer: "GGUFWriter", tokenizer: "Tokenizer", words: list[str], special: set[str]
) -> str:
    writer.add_tokenizer_model("bert")
    _add_words(writer, [word if word in special else _as_llama(word) for word in words])
    return str(json.loads(tokenizer.to_str())["model"]["unk_token"])


def _add_words(writer: "GGUFWriter", words: list[str]) -> None:
    """Write the words; llama.cpp ends the whole process where two are the same.

    Raises:
        ModelError: two are.
    """
    if len(set(words)) != len(words):
        raise ModelError(f"its tokenizer has the same token twice, which llama.cpp refuses; {CAN}")
    writer.add_token_list(words)


def _as_llama(word: str) -> str:
    return word.removeprefix(_GOES_ON) if word.startswith(_GOES_ON) else f"{_WORD}{word}"


def _unigram(writer: "GGUFWriter", tokenizer: "Tokenizer", words: list[str], _: set[str]) -> str:
    model: dict[str, Any] = json.loads(tokenizer.to_str())["model"]
    scores = dict(model["vocab"])
    writer.add_tokenizer_model("t5")
    _add_words(writer, words)
    writer.add_token_scores([float(scores.get(word, 0)) for word in words])
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(True)
    writer.add_add_space_prefix(True)
    writer.add_remove_extra_whitespaces(True)
    if tokenizer.normalizer is not None:
        writer.add_precompiled_charsmap(charsmap(tokenizer.normalizer.normalize_str))
    return words[int(model["unk_id"])]


# Each writes what is its own, and returns the token for what is unknown.
_KINDS = {"WordPiece": _wordpiece, "Unigram": _unigram}


def _add_special(
    writer: "GGUFWriter", tokenizer: "Tokenizer", saved: dict[str, Any], *, unknown: str
) -> None:
    first, last, other = (
        int(tokenizer.token_to_id(token) or 0) for token in (*(_ends(saved) or ("", "")), unknown)
    )
    writer.add_bos_token_id(first)
    writer.add_eos_token_id(last)
    writer.add_sep_token_id(last)
    writer.add_unk_token_id(other)


def _types(words: list[str], special: set[str], *, unknown: str) -> list[int]:
    from gguf import TokenType

    return [
        TokenType.UNKNOWN
        if word == unknown
        else TokenType.CONTROL
        if word in special
        else TokenType.NORMAL
        for word in words
    ]


def _ends(saved: dict[str, Any]) -> tuple[str, str] | None:
    """The tokens before and after a text; None where it is not one before and one after."""
    after = saved["post_processor"] or {}
    if after.get("type") == "BertProcessing" or after.get("type") == "RobertaProcessing":
        return after["cls"][0], after["sep"][0]
    parts = [next(iter(part.items())) for part in after.get("single", [])]
    if [kind for kind, _ in parts] != ["SpecialToken", "Sequence", "SpecialToken"]:
        return None
    return parts[0][1]["id"], parts[2][1]["id"]
