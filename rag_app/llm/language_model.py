"""What the program needs of a language model; `rag_app.llm.chat.ChatModel` is one."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol


class LanguageModel(Protocol):
    """Completes prompts."""

    @property
    def name(self) -> str:
        """What it is called; stands beside what it wrote."""
        ...

    @property
    def follows_instructions(self) -> bool:
        """False for a base model, which is prompted with examples only."""
        ...

    def complete(
        self,
        prompts: Sequence[str],
        *,
        max_tokens: int,
        temperature: float = ...,
        seed: int = ...,
        stop: Sequence[str] = ...,
        grammar: str = ...,
        as_json: bool = ...,
        on_done: Callable[[int, str], None] | None = ...,
    ) -> list[str]:
        """Answer each prompt; arguments and errors as of `ChatModel.complete`."""
        ...


class StreamingModel(LanguageModel, Protocol):
    """Also gives an answer while it writes it."""

    def stream(
        self, prompt: str, *, max_tokens: int, temperature: float = ..., stop: Sequence[str] = ...
    ) -> Iterator[str]:
        """Yield the answer to one prompt piece by piece."""
        ...
