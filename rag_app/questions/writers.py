"""Who writes questions: a language model, or the text itself where there is none."""

import importlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from rag_app.errors import ConfigError
from rag_app.llm import local as local_llm
from rag_app.llm.choose import LanguageModelOptions
from rag_app.llm.language_model import LanguageModel
from rag_app.llm.thoughts import without_thoughts
from rag_app.questions.extract import (
    EXTRACT_VERSION,
    EXTRACTED,
    HEADINGS,
    OF_HEADED,
    Worded,
    extract_questions,
)
from rag_app.questions.own_examples import Examples, examples_key
from rag_app.questions.prompts import (
    INSTRUCTED_VERSION,
    JSON_TOKENS,
    MAX_TOKENS,
    PROMPT_VERSION,
    TEMPERATURE,
    PromptWriter,
    read_answer,
)
from rag_app.questions.rarity import Rarity
from rag_app.questions.styles import (
    ONLY_QUESTIONS,
    SENTENCE,
    STYLES,
    Shares,
    shares_key,
    style_of,
)

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

# One chunk and the numbers of the questions that it still lacks, counted from 0.
Order = tuple["TextNode", range]
# Called with an order's place and its questions as soon as it is finished, in any order.
OnWritten = Callable[[int, list[Worded]], None]


class QuestionWriter(Protocol):
    """Writes the questions of many chunks, and reports each chunk as it is finished."""

    generator: str
    prompt_version: str
    max_tokens: int

    def prompts(self, orders: Sequence[Order]) -> list[str]:
        """What a language model will be sent; nothing where none writes."""
        ...

    def write(self, orders: Sequence[Order], *, seed: int, on_written: OnWritten) -> None:
        """Write what was ordered."""
        ...


class ModelWriter:
    """Asks a language model, one prompt for each question.

    Arguments:
        examples: the user's own, by language; without them, those that come with us.
        shares: of the styles.
    Raises:
        ConfigError: it cannot be told to write one of them.
    """

    def __init__(
        self,
        model: LanguageModel,
        rarity: Rarity,
        *,
        examples: Examples | None = None,
        shares: Shares = ONLY_QUESTIONS,
    ) -> None:
        if shares.get(SENTENCE):
            raise ConfigError(
                f"--styles names {SENTENCE}, which is taken from the text itself: use --llm none, "
                f"or styles of {', '.join(STYLES)}"
            )
        self.generator = model.name.removesuffix(".gguf")
        version = INSTRUCTED_VERSION if model.follows_instructions else PROMPT_VERSION
        keys = (version, examples_key(examples) if examples else "", shares_key(shares))
        self.prompt_version = "-".join(filter(None, keys))
        self.max_tokens = JSON_TOKENS if model.follows_instructions else MAX_TOKENS
        self._model = model
        self._shares = shares
        self._prompts = PromptWriter(
            rarity, follows_instructions=model.follows_instructions, examples=examples
        )

    def prompts(self, orders: Sequence[Order]) -> list[str]:
        """All prompts, in the orders' order."""
        return [prompt for order in orders for prompt in self._prompts_of(order)]

    def _styles(self, order: Order) -> list[str]:
        node, numbers = order
        return [style_of(node.node_id, number, self._shares) for number in numbers]

    def _prompts_of(self, order: Order) -> list[str]:
        return self._prompts.prompts(*order, self._styles(order))

    def write(self, orders: Sequence[Order], *, seed: int, on_written: OnWritten) -> None:
        """Send all prompts of a grammar at once, so that the model is never idle between chunks.

        Raises:
            LanguageModelError: one failed for good; what was finished has been reported.
        """
        styles = [self._styles(order) for order in orders]
        batch = [self._prompts_of(order) for order in orders]
        answers: list[dict[int, Worded]] = [{} for _ in orders]
        places: dict[str, list[tuple[int, int]]] = {}
        # Of one style together: a server then evaluates its examples once.
        for style in STYLES:
            for order, (node, _) in enumerate(orders):
                grammar = self._prompts.grammar(node, style)
                for row, own in enumerate(styles[order]):
                    if own == style:
                        places.setdefault(grammar, []).append((order, row))

        def collect(place: tuple[int, int], text: str) -> None:
            order, row = place
            style = styles[order][row]
            answers[order][row] = Worded(read_answer(without_thoughts(text), style), style)
            if len(answers[order]) == len(batch[order]):
                on_written(order, [answers[order][row] for row in range(len(batch[order]))])

        for grammar, asked in places.items():
            self._model.complete(
                [batch[order][row] for order, row in asked],
                max_tokens=self.max_tokens,
                temperature=TEMPERATURE,
                seed=seed,
                stop=self._prompts.stop,
                grammar=grammar,
                as_json=self._model.follows_instructions,
                on_done=lambda index, text, asked=asked: collect(asked[index], text),  # type: ignore[misc]
            )


class TextWriter:
    """Takes questions from the text itself.

    Arguments:
        usual: the styles that are taken where none are named.
        shares: of the styles; those that are named are taken, as far as a text has them.
    Raises:
        ConfigError: a text gives none of them.
    """

    generator = HEADINGS
    max_tokens = 0

    def __init__(
        self, rarity: Rarity, *, usual: Sequence[str], shares: Shares | None = None
    ) -> None:
        self._rarity = rarity
        self._styles = usual if shares is None else [one for one in EXTRACTED if shares.get(one)]
        key = "" if set(self._styles) == set(OF_HEADED) else ".".join(self._styles)
        self.prompt_version = "-".join(filter(None, (EXTRACT_VERSION, key)))
        if not self._styles:
            raise ConfigError(
                f"--styles names none of {', '.join(EXTRACTED)}, which are all that a text gives "
                "without a language model: `pip install 'rag-app[local-llm]'`, or name an endpoint "
                "with --llm-base-url"
            )

    def prompts(self, orders: Sequence[Order]) -> list[str]:
        """None."""
        return []

    def write(self, orders: Sequence[Order], *, seed: int, on_written: OnWritten) -> None:
        """Extract; the seed changes nothing."""
        for place, (node, numbers) in enumerate(orders):
            found = extract_questions(node, self._rarity, numbers.stop, styles=self._styles)
            on_written(place, found[numbers.start :])


def generator_name(options: LanguageModelOptions) -> str:
    """The name under which a language model's questions are kept, without starting it."""
    if options.kind == "none":
        return HEADINGS
    named = options.model or ""
    if options.asks_endpoint:
        return named.removesuffix(".gguf")
    if named.endswith(".gguf"):
        return named.replace("\\", "/").rsplit("/", 1)[-1].removesuffix(".gguf")
    if not local_llm.installed():
        return HEADINGS
    package = importlib.import_module(local_llm.GEMMA_PACKAGE)
    return str(package.MODEL_NAME).removesuffix(".gguf")
