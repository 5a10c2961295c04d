"""The table of paths: what each takes, gives back, and who answers it."""

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from rag_app.serve import openai_routes, own_routes, schemas
from rag_app.serve.route import Route


def _post(
    path: str,
    answer: Callable[[Any, Any], Any],
    request: type[BaseModel],
    response: type[BaseModel],
    **more: bool,
) -> Route:
    return Route("POST", path, answer, response, request, **more)


ROUTES = (
    _post("/retrieve", own_routes.retrieve, schemas.RetrieveRequest, schemas.RetrieveResponse),
    _post(
        "/answer",
        own_routes.answer,
        schemas.AnswerRequest,
        schemas.AnswerResponse,
        streams=True,
        slow=True,
    ),
    _post("/feedback", own_routes.feedback, schemas.FeedbackRequest, schemas.FeedbackResponse),
    _post("/open", own_routes.open_passage, schemas.OpenRequest, schemas.OpenResponse),
    _post(
        "/v1/embeddings",
        openai_routes.embeddings,
        schemas.EmbeddingsRequest,
        schemas.EmbeddingsResponse,
    ),
    _post(
        "/v1/chat/completions",
        openai_routes.chat,
        schemas.ChatRequest,
        schemas.ChatResponse,
        streams=True,
        slow=True,
    ),
    _post("/v1/rerank", openai_routes.rerank, schemas.RerankRequest, schemas.RerankResponse),
    Route("GET", "/v1/models", openai_routes.models, schemas.ModelsResponse),
    Route("GET", "/runs", own_routes.runs, schemas.RunsResponse),
    Route("GET", "/runs/{name}", own_routes.report, "text/html", schemas.RunRequest),
    Route("GET", "/about", own_routes.about, schemas.AboutResponse),
    Route("GET", "/health", own_routes.health, schemas.HealthResponse, public=True),
    Route("GET", "/metrics", own_routes.metrics, "text/plain"),
    Route("GET", "/openapi.json", own_routes.document, "application/json", public=True),
)
