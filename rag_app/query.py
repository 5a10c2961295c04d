"""Asking an index: what the REPL and `query -q` share."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag_app.answer import Answer, answer
from rag_app.errors import ConfigError

if TYPE_CHECKING:
    from rag_app.config import Settings
    from rag_app.index import Catalog, VectorIndex
    from rag_app.llms import ChatModel
    from rag_app.models import EmbeddingModel

LONGEST_QUESTION = 2000


@dataclass
class Session:
    """An open index with its model, the language model if there is one, and the last answer."""

    catalog: "Catalog"
    settings: "Settings"
    index: "VectorIndex"
    model: "EmbeddingModel"
    llm: "ChatModel | None"
    top_k: int
    last: Answer | None = None

    def ask(self, question: str) -> Answer:
        """Retrieve and answer.

        Raises:
            ConfigError: an empty or endless question.
            LanguageModelError: the language model cannot be reached.
        """
        from rag_app.retrieve import VectorRetriever

        question = " ".join(question.split())
        if not any(character.isalnum() for character in question):
            raise ConfigError("the question is empty; type a few words, or /help")
        if len(question) > LONGEST_QUESTION:
            raise ConfigError(
                f"the question has {len(question)} characters; ask with {LONGEST_QUESTION} or fewer"
            )
        retriever = VectorRetriever(self.index, self.model, top_k=self.top_k)
        self.last = answer(question, retriever.retrieve(question), self.llm)
        return self.last

    def switch(self, name: str) -> None:
        """Ask another index from now on; which index is in service does not change.

        Raises:
            IndexMissing: there is none by that name.
        """
        self.index, self.model = open_with_model(self.catalog, self.settings, name)


def open_with_model(
    catalog: "Catalog", settings: "Settings", name: str | None
) -> tuple["VectorIndex", "EmbeddingModel"]:
    """An index and the model that made it; with a model in the settings, that one is checked.

    Raises:
        IndexMissing, ModelError, IndexMismatch: as their names say.
    """
    from rag_app.models import load_named

    index = catalog.open(name)
    named = settings.model if "model" in settings.model_fields_set else index.info.model
    if named == index.info.base_model:
        named = index.info.model
    model = load_named(named, settings)
    index.check_model(model)
    return index, model


if __name__ == "__main__":
    from rag_app.cli import main

    main("query")
