"""Who writes questions: a language model, or the text itself where there is none."""

import importlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from rag_app.config import Settings
from rag_app.llm import local as local_llm
from rag_app.questions.extract import EXTRACT_VERSION, HEADINGS, extract_questions
from rag_app.questions.own_examples import Examples, examples_key
from rag_app.questions.prompts import (
    MAX_TOKENS,
    PROMPT_VERSION,
    TEMPERATURE,
    PromptWriter,
    read_answer,
)
from rag_app.questions.rarity import Rarity

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

# One chunk and the numbers of the questions that it still lacks, counted from 0.
Order = tuple["TextNode", range]
# Called with an order's place and its questions as soon as it is finished, in any order.
OnWritten = Callable[[int, list[str]], None]


class Completes(Protocol):
    """What is asked of a language model; `rag_app.llm.chat.ChatModel` is one."""

    name: str
    follows_instructions: bool

    def complete(
        self,
        prompts: Sequence[str],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int = 0,
        stop: Sequence[str] = (),
        grammar: str = "",
        on_done: Callable[[int, str], None] | None = None,
    ) -> list[str]:
        """Answer each prompt."""
        ...


class QuestionWriter(Protocol):
    """Writes the questions of many chunks, and reports each chunk as it is finished."""

    generator: str
    prompt_version: str

    def write(self, orders: Sequence[Order], *, seed: int, on_written: OnWritten) -> None:
        """Write what was ordered."""
        ...


class ModelWriter:
    """Asks a language model, one prompt for each question.

    Arguments:
        examples: the user's own, by language; without them, those that come with us.
    """

    def __init__(
        self, model: Completes, rarity: Rarity, *, examples: Examples | None = None
    ) -> None:
        self.generator = model.name.removesuffix(".gguf")
        self.prompt_version = (
            f"{PROMPT_VERSION}-{examples_key(examples)}" if examples else PROMPT_VERSION
        )
        self._model = model
        self._prompts = PromptWriter(
            rarity, follows_instructions=model.follows_instructions, examples=examples
        )

    def write(self, orders: Sequence[Order], *, seed: int, on_written: OnWritten) -> None:
        """Send all prompts of a grammar at once, so that the model is never idle between chunks.

        Raises:
            LanguageModelError: one failed for good; what was finished has been reported.
        """
        batch = [self._prompts.prompts(node, numbers) for node, numbers in orders]
        answers = [[""] * len(prompts) for prompts in batch]
        missing = [len(prompts) for prompts in batch]
        places: dict[str, list[tuple[int, int]]] = {}
        for order, (node, _) in enumerate(orders):
            rows = ((order, row) for row in range(len(batch[order])))
            places.setdefault(self._prompts.grammar(node), []).extend(rows)

        def collect(place: tuple[int, int], text: str) -> None:
            order, row = place
            answers[order][row] = read_answer(text)
            missing[order] -= 1
            if missing[order] == 0:
                on_written(order, answers[order])

        for grammar, asked in places.items():
            self._model.complete(
                [batch[order][row] for order, row in asked],
                max_tokens=MAX_TOKENS,
                temperature=TEMPERATURE,
                seed=seed,
                stop=self._prompts.stop,
                grammar=grammar,
                on_done=lambda index, text, asked=asked: collect(asked[index], text),  # type: ignore[misc]
            )


class TextWriter:
    """Takes questions from the text itself."""

    generator = HEADINGS
    prompt_version = EXTRACT_VERSION

    def __init__(self, rarity: Rarity) -> None:
        self._rarity = rarity

    def write(self, orders: Sequence[Order], *, seed: int, on_written: OnWritten) -> None:
        """Extract; the seed changes nothing."""
        for place, (node, numbers) in enumerate(orders):
            found = extract_questions(node, self._rarity, numbers.stop)
            on_written(place, found[numbers.start :])


def generator_name(settings: Settings) -> str:
    """The name under which the settings' generator keeps its questions, without starting it."""
    if settings.llm == "none":
        return HEADINGS
    named = settings.llm_model or ""
    if settings.llm == "endpoint" or (settings.llm == "auto" and settings.llm_base_url):
        return named.removesuffix(".gguf")
    if named.endswith(".gguf"):
        return named.replace("\\", "/").rsplit("/", 1)[-1].removesuffix(".gguf")
    if not local_llm.installed():
        return HEADINGS
    package = importlib.import_module(local_llm.GEMMA_PACKAGE)
    return str(package.MODEL_NAME).removesuffix(".gguf")
