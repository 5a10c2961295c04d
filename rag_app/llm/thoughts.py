"""What a reasoning model thinks before it answers."""

import re

OPENING, CLOSING = "<think>", "</think>"
# Models that are known to think, whose chat template may end with the opening mark: DeepSeek-R1,
# what was distilled from it, QwQ, Qwen3 ...-Thinking. A guess: their templates were not read here.
_BY_NAME = re.compile(r"deepseek-r1|\bqwq\b|\bthinking\b", re.IGNORECASE)


class OpenedThoughts:
    """Puts back the opening mark of thoughts that begin in the prompt, where no answer has it.

    An endpoint does not tell its prompt. It is guessed by the model's name, and known as soon as
    one answer has a closing mark without an opening one; the first thought of a model with another
    name is known only when it ends. A wrong guess costs the pieces of one stream, never the answer.

    >>> thoughts = OpenedThoughts("my-model")
    >>> thoughts.expected, thoughts.opened("Passage 1 says it.</think>Five days", cut=False)
    (False, '<think>Passage 1 says it.</think>Five days')
    >>> thoughts.expected
    True
    """

    def __init__(self, model: str) -> None:
        self._guessed = _BY_NAME.search(model) is not None
        self._seen = False

    @property
    def expected(self) -> bool:
        """Whether the next answer is held to begin within a thought."""
        return self._seen or self._guessed

    def come_apart(self) -> None:
        """The endpoint sends thoughts beside the answer."""
        self._guessed = False

    def opened(self, said: str, *, cut: bool) -> str:
        """A whole answer, with its opening mark; `cut`: the tokens ran out."""
        thought, closing, _ = said.partition(CLOSING)
        if closing:
            if OPENING in thought:
                return said
            self._seen = True
            return OPENING + said
        if cut:
            return OPENING + said if self.expected and OPENING not in said else said
        self._guessed = False
        return said


def without_thoughts(said: str) -> str:
    """The answer alone, without `<think>...</think>`; empty where the model never came to one.

    >>> without_thoughts("<think>Passage 1 says it.</think>Five days [1].")
    'Five days [1].'
    """
    # The first mark may be a part of the prompt; the last is missing where the answer was cut.
    _, _, answer = said.rpartition("</think>")
    return answer.partition("<think>")[0]


def spoken(begun: str) -> str:
    """What of an answer that is still being written is no thought.

    Thoughts whose opening mark is a part of the prompt cannot be told before they end.

    >>> spoken("<think>Passage 1"), spoken("<think>Passage 1 says it.</think>Five days")
    ('', 'Five days')
    """
    opening = begun.lstrip()
    if opening.startswith("<think>"):
        return opening.partition("</think>")[2]
    return "" if "<think>".startswith(opening) else begun
