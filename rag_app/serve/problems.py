"""Errors as HTTP tells them: a status, and one shape of JSON."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from rag_app.disk import storage_error
from rag_app.errors import (
    ConfigError,
    IndexLocked,
    RagAppError,
    RequestError,
)
from rag_app.masking import masked

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

logger = logging.getLogger(__name__)

UNAVAILABLE = 503
STATUS: dict[type[RagAppError], int] = {
    RequestError: 404,
    ConfigError: 422,
    IndexLocked: 503,
}
LONGEST = 1000
_MENDS = {
    404: "see /openapi.json for what there is",
    405: "see /openapi.json for the methods of each path",
}


@dataclass(eq=False)
class Refusal(Exception):
    """An answer that is no success.

    Fields:
        kind: a word for programs.
        param: the field of the request that is at fault.
    """

    status: int
    message: str
    kind: str
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """The one shape of an error."""
        error = {"message": self.message, "type": self.kind, "param": self.param}
        return {"error": error}

    def response(self) -> JSONResponse:
        """As it is sent."""
        return JSONResponse(self.to_json(), self.status, dict(self.headers))


def refusal(error: Exception) -> Refusal:
    """What an exception is to a client; what nobody foresaw is logged, not told."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, RagAppError):
        return _of_ours(error)
    if isinstance(error, ValidationError):
        return _of_fields(error.errors()[0])
    if isinstance(error, HTTPException):
        return _of_starlette(error)
    if (trouble := storage_error(error)) is not None:
        return _of_ours(trouble)
    logger.error("a request failed", exc_info=error)
    return Refusal(500, "the server made a mistake; its log has the reason", "InternalError")


def as_event(error: Exception) -> str:
    """An error in the middle of a stream."""
    return json.dumps(refusal(error).to_json(), ensure_ascii=False)


def _of_ours(error: RagAppError) -> Refusal:
    status = next(
        (status for kind, status in STATUS.items() if isinstance(error, kind)), UNAVAILABLE
    )
    message = masked(str(error)).encode(errors="replace").decode()
    headers = {"Retry-After": "5"} if status == UNAVAILABLE else {}
    return Refusal(status, message[:LONGEST], type(error).__name__, headers=headers)


def _of_fields(first: "ErrorDetails") -> Refusal:
    """The first of what is wrong with a body."""
    if first["type"] == "json_invalid":
        return Refusal(400, f"the body is no JSON: {first['msg']}", "MalformedJSON")
    # Of a field that may be of several kinds, pydantic adds a name for the kind: list[str].
    fields = [str(part) for part in first["loc"]]
    where = ".".join(part for part in fields if part.isdigit() or part.isidentifier()) or None
    message = first["msg"].removeprefix("Value error, ")
    said = f"{where}: {message}" if where else message
    return Refusal(400, f"{said}; see /openapi.json", "InvalidRequest", where)


def _of_starlette(error: HTTPException) -> Refusal:
    mend = _MENDS.get(error.status_code)
    message = f"{error.detail}; {mend}" if mend else error.detail
    kind = "".join(error.detail.split())
    return Refusal(error.status_code, message, kind, headers=dict(error.headers or {}))
