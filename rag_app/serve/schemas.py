"""What requests and responses hold; `/openapi.json` is made from these."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from rag_app.text.asked import LONGEST_QUESTION

MOST_TEXTS = 256
LONGEST_TEXT = 32_000
MOST_MESSAGES = 100
MOST_PASSAGES = 100

# A letter or a digit: what is nothing but signs asks nothing.
_SAYS_SOMETHING = r"[\p{L}\p{N}]"


def _whole(value: Any) -> Any:
    """To JSON 5.0 is the number 5; to Python it is another type."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _as_texts(value: Any) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    whole = isinstance(texts, list) and all(isinstance(text, str) for text in texts)
    if not whole or not 1 <= len(texts) <= MOST_TEXTS:
        raise ValueError(f"give a text or a list of 1 to {MOST_TEXTS} texts, not of token ids")
    return list(texts)


_WHOLE = BeforeValidator(_whole)
QuestionText = Annotated[
    str, Field(min_length=1, max_length=LONGEST_QUESTION, pattern=_SAYS_SOMETHING)
]
Text = Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)]
TextOrTexts = Text | Annotated[list[Text], Field(min_length=1, max_length=MOST_TEXTS)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
IndexName = Annotated[
    Name | None, Field(description="A name, its beginning, base or tuned; null: in service.")
]


class Request(BaseModel):
    """A request of our own: what it does not know is an error."""

    model_config = ConfigDict(extra="forbid", strict=True)


class OpenAIRequest(BaseModel):
    """A request as OpenAI's clients send it: what it does not know is passed over."""

    model_config = ConfigDict(extra="ignore", strict=True)


class Response(BaseModel):
    """What is sent back."""

    model_config = ConfigDict(extra="forbid")


class RetrieveRequest(Request):
    """A question, and how its passages are to be found."""

    question: QuestionText
    k: Annotated[int, Field(ge=1, le=MOST_PASSAGES), _WHOLE] | None = None
    where: Annotated[
        Annotated[str, Field(min_length=1, max_length=2000)] | None,
        Field(description='Metadata filter: "category = billing and date >= 2023-06".'),
    ] = None
    retriever: Annotated[
        Annotated[str, Field(min_length=1, max_length=300)] | None,
        Field(description='As `--retriever` takes it: "vector", "keyword", "hybrid:0.7+latest".'),
    ] = None
    index: IndexName = None
    evidence: Annotated[
        bool, Field(description="Find each passage's sentence that is nearest to the question.")
    ] = False


class AnswerRequest(RetrieveRequest):
    """As for `/retrieve`; with `stream` as server-sent events."""

    stream: bool = False


class FeedbackRequest(Request):
    """A question, a passage by its chunk's id, and whether the passage answers the question."""

    question: QuestionText
    chunk: Name
    verdict: Literal["right", "good", "bad"]
    index: IndexName = None


class OpenRequest(Request):
    """A passage by its chunk's id, and how many chunks around it."""

    chunk: Name
    around: Annotated[int, Field(ge=1, le=20), _WHOLE] = 2
    index: IndexName = None


class EmbeddingsRequest(OpenAIRequest):
    """Texts to embed as the index in service was embedded."""

    input: Annotated[list[Text], BeforeValidator(_as_texts, json_schema_input_type=TextOrTexts)]
    model: Annotated[
        Name | None, Field(description='"rag-app", an index or its model; see `/v1/models`.')
    ] = None
    input_type: Literal["query", "passage"] = "passage"
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, Field(ge=1, le=100_000), _WHOLE] | None = None


class ContentPart(OpenAIRequest):
    """A part of a message; only texts are read."""

    type: Literal["text"]
    text: Annotated[str, Field(max_length=LONGEST_TEXT)]


class Message(OpenAIRequest):
    """A message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: (
        Annotated[str, Field(max_length=LONGEST_TEXT)]
        | Annotated[list[ContentPart], Field(max_length=MOST_MESSAGES)]
        | None
    ) = None

    @property
    def text(self) -> str:
        """What it says."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content or ())


class ChatRequest(OpenAIRequest):
    """A conversation whose last message is a question."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=MOST_MESSAGES)]
    model: Annotated[
        Name | None, Field(description='"rag-app", an index or its model; see `/v1/models`.')
    ] = None
    stream: bool | None = None


class RerankRequest(OpenAIRequest):
    """A question and texts to order, as Cohere's and Jina's clients send them."""

    query: QuestionText
    documents: Annotated[list[Text], Field(min_length=1, max_length=MOST_TEXTS)]
    model: Annotated[Name | None, Field(description="Passed over: there is one.")] = None
    top_n: Annotated[int, Field(ge=1, le=100_000), _WHOLE] | None = None
    return_documents: bool = False


class RunRequest(Request):
    """A run by its folder's name."""

    name: Name


class Passage(Response):
    """Where a passage stands: `start` and `end` are characters of the document's text."""

    n: int
    path: str
    document: str
    title: str
    date: str
    page: int | None
    start: int
    end: int
    text: str
    score: float
    chunk: str
    question: dict[str, Any] | None
    page_end: int | None
    table_header: str | None
    name: Annotated[str, Field(description="Its title, else the question of its row, or document.")]
    uri: Annotated[str, Field(description="The file, at the page of a PDF: ...pdf#page=3.")]


class Evidence(Response):
    """Characters of passage n's document that are nearest to the question."""

    n: int
    start: int
    end: int


class AnswerEvidence(Evidence):
    """Where passage n says what a sentence of the answer says."""

    sentence: str


class WeakMatch(Response):
    """No passage is near the question: its best cosine, and that of unrelated passages."""

    cosine: float
    unrelated: float


class RetrieveResponse(Response):
    """Passages, best first."""

    question: str
    understood_as: str | None
    index: str
    model: str
    retriever: str
    passages: list[Passage]
    evidence: list[Evidence]
    weak_match: WeakMatch | None
    notes: list[str]


class AnswerResponse(Response):
    """An answer with checked citations; `answer` is null where no language model answers."""

    question: str
    understood_as: str | None
    answer: str | None
    citations: list[Passage]
    cited: list[int]
    evidence: list[AnswerEvidence]
    unsupported: list[str]
    misquoted: list[str]
    support_ratio: float | None
    llm: str | None
    draft: bool
    index: str
    model: str
    retriever: str
    weak_match: WeakMatch | None
    notes: list[str]


class FeedbackResponse(Response):
    """How many labelled pairs there are now, and the file that has them."""

    pairs: int
    file: str


class OpenResponse(Response):
    """A piece of a document; the passage is `text[start:end]`."""

    document: str
    title: str
    path: str
    text: str
    start: int
    end: int


class EmbeddingRow(Response):
    """A vector of unit length: numbers, or little-endian float32 in base64."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class Usage(Response):
    """Tokens; those of a language model are not known here and 0."""

    prompt_tokens: int
    total_tokens: int
    completion_tokens: int = 0


class EmbeddingsResponse(Response):
    """One vector a text, in their order."""

    object: Literal["list"]
    data: list[EmbeddingRow]
    model: str
    usage: Usage


class ChatMessage(Response):
    """The answer, or the passages where no language model answers."""

    role: Literal["assistant"]
    content: str


class ChatChoice(Response):
    """There is one."""

    index: int
    message: ChatMessage
    finish_reason: Literal["stop"]


class ChatResponse(Response):
    """As OpenAI's, with the passages in `citations`."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage
    citations: list[Passage]


class Model(Response):
    """An index, and the name that requests may give in `model`."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelsResponse(Response):
    """What requests may name in `model`."""

    object: Literal["list"]
    data: list[Model]


class RerankedDocument(Response):
    """A text as it was sent."""

    text: str


class RerankRow(Response):
    """A text by its place in the request, and the cross-encoder's score, unbounded."""

    index: int
    relevance_score: float
    document: RerankedDocument | None


class RerankResponse(Response):
    """Texts, the most relevant first."""

    model: str
    results: list[RerankRow]


class RunRow(Response):
    """A finished run: what it was, its MRR@10, its verdict; `made` is a local time."""

    name: str
    kind: Literal["finetune", "sweep", "evaluate"]
    made: str
    n: int
    mrr: float | None
    verdict: str | None
    has_report: bool


class RunsResponse(Response):
    """Finished runs, the newest first."""

    runs: list[RunRow]


class HealthResponse(Response):
    """The index can be asked."""

    status: Literal["ok"]
    version: str


class AboutResponse(Response):
    """The index that is asked, and what may be asked of it."""

    index: str
    model: str
    dimension: int
    chunks: int
    retriever: str
    k: int
    llm: str | None
    indexes: list[str]
    filters: dict[str, list[str]]


class Problem(Response):
    """What went wrong, in one sentence that says what mends it."""

    message: str
    type: str
    param: str | None = None


class ProblemResponse(Response):
    """Every error has this shape."""

    error: Problem
