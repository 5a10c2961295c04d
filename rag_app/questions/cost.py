"""What writing will cost, before it starts: passages, requests, tokens, and money at a price."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rag_app.errors import ConfigError

# What a tokenizer adds up to where none can be asked: bytes of text to a token.
BYTES_PER_TOKEN = 4


@dataclass(frozen=True)
class Price:
    """Of an endpoint, in its currency, for a million tokens that it reads and that it writes."""

    read: float
    written: float


@dataclass(frozen=True)
class Cost:
    """What is going to be asked for.

    Fields:
        passages: that lack questions.
        requests: prompts, those for a judge included.
        tokens_read: of all prompts, about: a language model's own tokenizer may count otherwise.
        tokens_written: at most.
    """

    passages: int
    requests: int
    tokens_read: int
    tokens_written: int

    def money(self, price: Price) -> float:
        """At most, in the currency of the price."""
        return (self.tokens_read * price.read + self.tokens_written * price.written) / 1e6


def read_price(text: str) -> Price:
    """A price as a command line gives it: "0.15,0.6".

    Raises:
        ConfigError: not two numbers from 0 on.
    """
    try:
        read, written = map(float, text.split(","))
    except ValueError:
        read = written = -1.0
    if not (math.isfinite(read) and math.isfinite(written) and min(read, written) >= 0):
        raise ConfigError(
            f"--price-per-million is {text!r}; give two numbers, for a million tokens read and "
            "for a million tokens written, such as 0.15,0.6"
        )
    return Price(read, written)


def count_tokens(texts: Sequence[str], counter: Callable[[list[str]], Sequence[int]] | None) -> int:
    """Tokens of all texts together, by a tokenizer's counter if there is one."""
    if counter is not None:
        return sum(counter(list(texts)))
    return sum(-(-len(text.encode()) // BYTES_PER_TOKEN) for text in texts)
