"""Small stand-ins whose values one can compute in the head."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers

from rag_app.errors import LanguageModelError
from rag_app.models import Prompts
from rag_app.progress import Progress, silent
from rag_app.vectors import TokenEmbeddings, Vectors

DIMENSION = 64


class WordModel:
    """An embedding model that counts words: texts are alike as far as they share words.

    One token a word. `seed` makes another model of the same dimension, as tuning does.
    """

    def __init__(self, name: str = "words", *, seed: int = 0, max_tokens: int = 256) -> None:
        self.name = name
        self.seed = seed
        self.dimension = DIMENSION
        self.max_tokens = max_tokens
        self.overhead_tokens = 0
        self.prompts = Prompts()
        self.fingerprint = hashlib.sha256(f"{name}{seed}".encode()).hexdigest()[:16]
        self.passage_fingerprint = self.fingerprint
        self.tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))  # noqa: S106
        self.tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        self.embedded: list[str] = []

    def embed_queries(self, texts: Sequence[str], *, progress: Progress = silent) -> Vectors:
        return np.stack([self._vector(text) for text in texts])

    def embed_passages(self, texts: Sequence[str], *, progress: Progress = silent) -> Vectors:
        self.embedded += texts
        return np.stack([self._vector(text) for text in texts])

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def knows_script_of(self, texts: Sequence[str]) -> bool:
        return all(text.isascii() for text in texts)

    def _vector(self, text: str) -> Vectors:
        vector = np.full(DIMENSION, 1e-3, dtype=np.float32)
        for word in text.casefold().split():
            digest = hashlib.sha256(f"{self.seed}{word.strip('.,?!')}".encode()).digest()
            vector[digest[0] % DIMENSION] += 1.0
        return vector / np.linalg.norm(vector)


class TokenWordModel(WordModel):
    """Also gives its tokens: words, each in a place of its own."""

    gives_tokens = True

    def __init__(self, name: str = "words", *, seed: int = 0) -> None:
        super().__init__(name, seed=seed)
        self.token_texts: list[str] = []

    def embed_query_tokens(self, texts: Sequence[str]) -> list[TokenEmbeddings]:
        return [self._tokens(text) for text in texts]

    def embed_passage_tokens(self, texts: Sequence[str]) -> list[TokenEmbeddings]:
        self.token_texts += texts
        return [self._tokens(text) for text in texts]

    def _tokens(self, text: str) -> TokenEmbeddings:
        words = [word.strip(".,?!") for word in text.casefold().split()]
        digests = [hashlib.sha256(f"{self.seed}{word}".encode()).digest() for word in words if word]
        ids = np.array([digest[0] % DIMENSION for digest in digests], np.int32)
        return TokenEmbeddings(ids, np.eye(DIMENSION, dtype=np.float32)[ids])


class ScriptedChat:
    """A language model that has an answer to each question in a prompt, and fails without one.

    `prompts` holds what was sent, `stops` the strings that each answer was to end before.
    """

    def __init__(
        self,
        answers: Mapping[str, str],
        *,
        name: str = "scripted",
        follows_instructions: bool = True,
    ) -> None:
        self.answers = answers
        self.name = name
        self.follows_instructions = follows_instructions
        self.prompts: list[str] = []
        self.stops: list[tuple[str, ...]] = []

    def complete(
        self,
        prompts: Sequence[str],
        *,
        max_tokens: int,
        stop: Sequence[str] = (),
        on_done: Callable[[int, str], None] | None = None,
        **_: object,
    ) -> list[str]:
        answers = []
        for number, prompt in enumerate(prompts):
            self.prompts.append(prompt)
            self.stops.append(tuple(stop))
            question = re.findall(r"(?:Question|질문): (.*)", prompt)[-1]
            if question not in self.answers:
                raise LanguageModelError("http://x/v1 did not answer within 120 s; wait longer")
            answers.append(self.answers[question])
            if on_done is not None:
                on_done(number, answers[-1])
        return answers
