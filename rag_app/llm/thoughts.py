"""What a reasoning model thinks before it answers."""


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
