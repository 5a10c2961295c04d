"""How many of what, in words."""


def counted(count: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "question"), counted(1200, "question")
    ('1 question', '1,200 questions')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
