"""The OpenAPI description, made from a table of routes and the schemas."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from rag_app.serve.route import Route
from rag_app.serve.schemas import ProblemResponse

_REFERENCE = "#/components/schemas/{model}"
_PROBLEMS = {
    400: "The body is no JSON, or not of this shape.",
    401: "The token is missing or wrong.",
    403: "The Host is a foreign one, and there is no token.",
    404: "There is no such index, model or passage.",
    413: "The body is too large.",
    415: "The body is not sent as application/json.",
    422: "A question, filter or retriever that cannot be followed.",
    429: "Too many requests; Retry-After says when to go on.",
    503: "The index or the language model cannot be asked now.",
}
# One server-sent event; its data are JSON, but for the last one of OpenAI's, which is [DONE].
_EVENT = {
    "type": "object",
    "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
    "required": ["data"],
}
_WITH_BODY = {413, 415, 422}


def openapi(routes: Sequence[Route], *, with_token: bool) -> dict[str, Any]:
    """The whole description, OpenAPI 3.1.

    Arguments:
        with_token: whether requests need one.
    """
    from rag_app import __version__

    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "rag-app",
            "version": __version__,
            "description": "Retrieval, answers and embeddings of one index.",
        },
        "paths": {},
        "components": {"schemas": _schemas(routes)},
    }
    for route in routes:
        path = document["paths"].setdefault(route.path, {})
        path[route.method.lower()] = _operation(route, with_token=with_token)
    if with_token:
        bearer = {"type": "http", "scheme": "bearer"}
        document["components"]["securitySchemes"] = {"token": bearer}
    return document


def _schemas(routes: Sequence[Route]) -> dict[str, Any]:
    requests = [(one.request, "validation") for one in routes if one.method == "POST"]
    answers = [
        (one.response, "serialization") for one in routes if not isinstance(one.response, str)
    ]
    every: Any = [*requests, *answers, (ProblemResponse, "serialization")]
    _, found = models_json_schema(every, ref_template=_REFERENCE)
    definitions: dict[str, Any] = found["$defs"]
    return definitions


def _operation(route: Route, *, with_token: bool) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.answer.__name__,
        "summary": (route.answer.__doc__ or "").strip(),
        "responses": {"200": {"description": "Done.", "content": _content(route)}},
    }
    for status, meaning in _PROBLEMS.items():
        if status in _WITH_BODY and route.method == "GET":
            continue
        operation["responses"][str(status)] = {
            "description": meaning,
            "content": {"application/json": {"schema": _reference(ProblemResponse)}},
        }
    if route.request is not None and route.method == "GET":
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": schema}
            for name, schema in route.request.model_json_schema()["properties"].items()
        ]
    elif route.request is not None:
        content = {"application/json": {"schema": _reference(route.request)}}
        operation["requestBody"] = {"required": True, "content": content}
    if with_token and not route.public:
        operation["security"] = [{"token": []}]
    return operation


def _content(route: Route) -> dict[str, Any]:
    if isinstance(route.response, str):
        return {route.response: {}}
    content: dict[str, Any] = {"application/json": {"schema": _reference(route.response)}}
    if route.streams:
        content["text/event-stream"] = {"schema": _EVENT}
    return content


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REFERENCE.format(model=model.__name__)}
