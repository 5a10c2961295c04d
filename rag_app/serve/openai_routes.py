"""Paths of public interfaces: OpenAI's embeddings, chat completions and models; rerank."""

import base64
import time
import uuid
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from rag_app.answer.conversation import REMEMBERED, Turn
from rag_app.errors import ConfigError
from rag_app.serve import schemas
from rag_app.serve.asked import Asked, Found
from rag_app.serve.service import passages_as_text
from rag_app.serve.streaming import Emit, event, server_sent
from rag_app.vectors import Vectors, as_lists

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag_app.answer.answer import Answer
    from rag_app.serve.served import ServedIndex
    from rag_app.serve.site import Site


def embeddings(site: "Site", request: schemas.EmbeddingsRequest) -> dict[str, Any]:
    """Vectors of questions or passages, by the model of the index, as it was judged."""
    texts = request.input

    def embed(served: "ServedIndex") -> dict[str, Any]:
        if request.dimensions not in (None, served.model.dimension):
            raise ConfigError(
                f"{served.model.name} has {served.model.dimension} dimensions, not "
                f"{request.dimensions}; leave dimensions out, or make an index with "
                "`rag-app ingest --dimensions`"
            )
        embedded = served.embed(texts, request.input_type)
        rows, tokens = _rows(embedded.vectors, request.encoding_format), embedded.tokens
        return {
            "object": "list",
            "data": [
                {"object": "embedding", "index": n, "embedding": row} for n, row in enumerate(rows)
            ],
            "model": served.model.name,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens, "completion_tokens": 0},
        }

    return site.service.with_index(site.service.index_of(request.model), embed)


def chat(site: "Site", request: schemas.ChatRequest) -> dict[str, Any] | Response:
    """An answer from the documents; the passages themselves where no language model answers."""
    service = site.service
    question, turns = conversation(request.messages)
    found = service.retrieve(Asked(question, turns=turns, index=service.index_of(request.model)))
    head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": found.index}
    if not request.stream:
        return _completion(head, found, _text(service.answer(found)))

    def tell(emit: Emit) -> None:
        def delta(values: dict[str, Any], finish: str | None = None, **more: Any) -> None:
            choice = {"index": 0, "delta": values, "finish_reason": finish}
            emit(event({**head, "object": "chat.completion.chunk", "choices": [choice], **more}))

        delta({"role": "assistant", "content": ""})
        made = service.answer(found, on_text=lambda text: delta({"content": text}))
        if made.text is None:
            delta({"content": passages_as_text(made)})
        delta({}, "stop", citations=[one.to_json() for one in made.citations])
        emit(event("[DONE]"))

    return server_sent(tell, site.answering)


def rerank(site: "Site", request: schemas.RerankRequest) -> dict[str, Any]:
    """Texts ordered by the cross-encoder that the server was started with."""
    name, scores = site.service.rerank(request.query, request.documents)
    best_first = sorted(range(len(scores)), key=lambda place: -scores[place])
    results = []
    for place in best_first[: request.top_n]:
        document = {"text": request.documents[place]} if request.return_documents else None
        results.append({"index": place, "relevance_score": scores[place], "document": document})
    return {"model": name, "results": results}


def models(site: "Site", _: None) -> dict[str, Any]:
    """What requests may name in `model`: rag-app (the index in service) and each index."""
    names = ["rag-app", *site.service.workspace.catalog.names()]
    rows = [{"id": n, "object": "model", "created": 0, "owned_by": "rag-app"} for n in names]
    return {"object": "list", "data": rows}


def conversation(messages: "Sequence[schemas.Message]") -> tuple[str, tuple[Turn, ...]]:
    """The question that a conversation ends with, and the turns before it.

    Messages of the system and of tools are passed over: the answer comes from the documents alone.

    Raises:
        ConfigError: the last message is no question.
    """
    said = [message for message in messages if message.role in ("user", "assistant")]
    if not said or said[-1].role != "user":
        raise ConfigError("the last message is not the user's; end messages with a question")
    turns: list[Turn] = []
    for before, after in pairwise(said):
        if (before.role, after.role) == ("user", "assistant"):
            turns.append(Turn(before.text, after.text))
    return said[-1].text, tuple(turns[-REMEMBERED:])


def _rows(vectors: Vectors, encoding: str) -> "list[list[float]] | list[str]":
    if encoding == "base64":
        return [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in vectors]
    return as_lists(vectors)


def _text(made: "Answer") -> str:
    return passages_as_text(made) if made.text is None else made.text


def _completion(head: dict[str, Any], found: Found, text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {
        **head,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        "citations": [citation.to_json() for citation in found.answer.citations],
    }
