"""A route: one method of one path."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel


@dataclass(frozen=True)
class Route:
    """One method of one path.

    Fields:
        answer: called in a thread with the site and the request, or None where nothing is sent.
        request, response: what is sent and what comes back; a text is a media type. What GET takes
            stands in braces in its path.
        streams: whether it may come back as server-sent events.
        slow: whether a language model may take part.
        public: whether it needs no token.
    """

    method: Literal["GET", "POST"]
    path: str
    answer: Callable[[Any, Any], Any]
    response: type[BaseModel] | str
    request: type[BaseModel] | None = None
    streams: bool = False
    slow: bool = False
    public: bool = False
