"""The tokens of a text that late interaction compares."""

from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

import numpy as np

from rag_app.vectors import TokenEmbeddings, Vectors

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer


def content_tokens(
    tokenizer: "Tokenizer", prompt: str, texts: Sequence[str], states: Sequence[Vectors]
) -> list[TokenEmbeddings]:
    """The tokens that hold a letter or a digit; without the prompt's and the special ones.

    Arguments:
        tokenizer: neither truncates nor pads.
        states: the last hidden states of each text with the prompt before it, as far as the model
            reads it, special tokens included: (n_tokens, width).
    """
    whole = [prompt + text for text in texts]
    found = []
    for text, encoding, rows in zip(whole, tokenizer.encode_batch(whole), states, strict=True):
        places = list(_places(text, encoding, len(prompt), len(rows)))
        ids = np.array(encoding.ids, np.int32)[places]
        found.append(TokenEmbeddings(ids, _unit(rows[places])))
    return found


def _places(text: str, encoding: "Encoding", prompt: int, read: int) -> Iterator[int]:
    """Places of the content tokens among the `read` first of a text.

    Arguments:
        prompt: characters before the text itself.
    """
    special = encoding.special_tokens_mask
    # What is too long is cut before the special tokens at its end.
    last = read - sum(takewhile(bool, reversed(special)))
    for place, (start, end) in enumerate(encoding.offsets[:last]):
        written = text[max(start, prompt) : end]
        if not special[place] and any(map(str.isalnum, written)):
            yield place


def _unit(rows: Vectors) -> Vectors:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)
