"""Whether a model knows the script that documents are written in."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Characters of a text, and texts, that are looked at.
_SAMPLE_CHARACTERS = 400
_SAMPLE_TEXTS = 200


def knows_script(tokenizer: "Tokenizer", texts: Sequence[str]) -> bool:
    """Whether a tokenizer has words for these texts rather than letters or unknowns.

    A tokenizer that never saw a script spends more than one token a character on it, or the
    unknown token: an English vocabulary takes Hangul apart into two or three pieces a syllable.
    """
    sample = [text[:_SAMPLE_CHARACTERS] for text in texts[:_SAMPLE_TEXTS]]
    characters = sum(len("".join(text.split())) for text in sample)
    encodings = tokenizer.encode_batch(sample, add_special_tokens=False)
    tokens = [token for encoding in encodings for token in encoding.tokens]
    unknown = sum(token in ("[UNK]", "<unk>") for token in tokens)
    return len(tokens) <= 1.2 * characters and unknown <= 0.1 * len(tokens)


def count_foreign(texts: Sequence[str], knows: Callable[[Sequence[str]], bool]) -> int:
    """How many of the texts are in a script that a model was not trained on.

    Arguments:
        knows: the model's `knows_script_of`.
    """
    # Every vocabulary has the letters of ASCII.
    return sum(not (text[:_SAMPLE_CHARACTERS].isascii() or knows([text])) for text in texts)
