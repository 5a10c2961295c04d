"""What a retrieval does besides asking for the nearest chunks, and the form to write it in.

    vector
    index
    vector+questions
    hybrid:0.6+latest
    hybrid:0.5+multi_query+rerank:models/my-reranker+window:1

A retriever comes first, steps follow after a +, in any order; of two that exclude each other the
last one counts. "index" stands for the retriever that the index keeps: that of its verdict, or else
vector+questions.
"""

import datetime as dt
import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rag_app.errors import ConfigError
from rag_app.retrieve.learned import LearnedFusion
from rag_app.retrieve.recency import parse_recency

if TYPE_CHECKING:
    from rag_app.index import VectorIndex

# The retriever that an index keeps, and what it stands for where an index keeps none.
KEPT = "index"
UNJUDGED = "vector+questions"
NO_REWRITE = "none"
CHUNK = "chunk"
AUTO = "auto"
LEARNED = "learned"
# Weights of a hybrid's views that need no questions.
EQUAL = "equal"
MOST_CHUNKS = 100


@dataclass(frozen=True)
class RetrievalOptions:
    """A retrieval, taken apart.

    Fields:
        retriever: "vector" (the index's own search), "exact", "keyword" or "hybrid"; "index" for
            what `of` finds.
        hybrid_weight: of the vector search in "hybrid", 0 to 1; None: to be tuned on dev.
        fusion: "scores", "ranks", "learned" or "equal", for "hybrid".
        learned: weights of the fusion "learned"; None: those that were kept for the index.
        fetch_k: candidates that "hybrid" and the steps choose from.
        rewrite: "none", "multi_query" or "hyde"; `rewrites` questions at most.
        rerank: name or folder of a cross-encoder.
        recency: "latest", "cutoff 365d", "half-life 90d".
        context: "chunk", "window:N" or "parent:N".
        where: a metadata filter, see `rag_app.retrieve.filters.where`.
        questions: look for the question among the known ones, see `rag_app.retrieve.known`.
    """

    retriever: str = "vector"
    hybrid_weight: float | None = 0.7
    fusion: str = "scores"
    learned: LearnedFusion | None = None
    fetch_k: int = 100
    rewrite: str = NO_REWRITE
    rewrites: int = 3
    rerank: str | None = None
    recency: str | None = None
    context: str = CHUNK
    where: str | None = None
    questions: bool = False

    def __post_init__(self) -> None:
        """Refuse numbers that no search can do with.

        Raises:
            ConfigError: there are such.
        """
        for name, number in (("fetch_k", self.fetch_k), ("rewrites", self.rewrites)):
            if number < 1:
                raise ConfigError(f"{name} is {number}; it takes 1 or more")

    @classmethod
    def parse(
        cls,
        spec: str = "vector",
        *,
        fetch_k: int = 100,
        rewrites: int = 3,
        where: str | None = None,
    ) -> "RetrievalOptions":
        """Read the written form, such as "hybrid:0.7+latest".

        Raises:
            ConfigError: a part that is not known or takes another value.
        """
        return cls(fetch_k=fetch_k, rewrites=rewrites, where=where).with_spec(spec)

    def with_spec(self, spec: str) -> "RetrievalOptions":
        """A retriever and its steps by their written form; numbers and filter stay.

        Raises:
            ConfigError: a part that is not known or takes another value.
        """
        first, *steps = spec.split("+")
        changed: dict[str, Any] = dict(_part(first, _RETRIEVERS, spec))
        for step in steps:
            changed |= _part(step, _STEPS, spec)
        plain = RetrievalOptions(fetch_k=self.fetch_k, rewrites=self.rewrites, where=self.where)
        return replace(plain, **changed)

    def of(self, index: "VectorIndex") -> "RetrievalOptions":
        """For "index" what this index keeps, with the steps named besides; else the same options.

        What a version with other parts kept counts as nothing.
        """
        if self.retriever != KEPT:
            return self
        try:
            kept = self.with_spec(index.retriever or UNJUDGED)
        except ConfigError:
            kept = self.with_spec(UNJUDGED)
        plain = self.with_spec(KEPT)
        named = ((name, getattr(self, name)) for name in _OF_STEPS)
        return replace(kept, **{name: it for name, it in named if it != getattr(plain, name)})

    @property
    def spec(self) -> str:
        """The written form; `with_spec` reads it."""
        first = self.retriever
        if first == "hybrid":
            name = "hybrid" if self.fusion == "scores" else "ranks"
            weight = AUTO if self.hybrid_weight is None else f"{self.hybrid_weight:g}"
            first = f"hybrid:{self.fusion}" if self.weighs_views else f"{name}:{weight}"
        steps = [
            "questions" if self.questions else None,
            None if self.rewrite == NO_REWRITE else self.rewrite,
            self.rerank and f"rerank:{self.rerank}",
            self.recency,
            None if self.context == CHUNK else self.context,
        ]
        parts = [first, *filter(None, steps)]
        return "+".join(parts)

    @property
    def weighs_views(self) -> bool:
        """Whether a hybrid also scores the sentences and tokens of passages."""
        return self.fusion in (LEARNED, EQUAL)

    @property
    def to_be_learned(self) -> bool:
        """Whether the hybrid's weights are to be learned, or are those kept for an index."""
        return self.fusion == LEARNED and self.learned is None

    @property
    def candidates(self) -> bool:
        """Whether a step, or fusing rewrites, needs more passages than are returned in the end."""
        steps = (self.rerank, self.recency)
        some = any(step is not None for step in steps)
        return some or self.asks_model or self.context != CHUNK

    @property
    def asks_model(self) -> bool:
        """Whether a language model takes part."""
        return self.rewrite != NO_REWRITE

    def larger_context(self) -> tuple[str, int] | None:
        """Kind and size of the context that is returned, or None: the chunk itself."""
        kind, _, size = self.context.partition(":")
        return None if kind == CHUNK else (kind, int(size))


# Fields that the steps set.
_OF_STEPS = ("questions", "rewrite", "rerank", "recency", "context")
Values = Mapping[str, Any]
Reader = Callable[[str], Values]


def _fixed(**values: Any) -> Reader:
    def read(argument: str) -> Values:
        if argument:
            raise ValueError("takes no value")
        return values

    return read


def _share(name: str, **values: Any) -> Reader:
    def read(argument: str) -> Values:
        if not argument:
            return values
        number = float(argument)
        if not 0 <= number <= 1:
            raise ValueError("takes a number from 0 to 1")
        return {**values, name: number}

    return read


def _hybrid(fusion: str) -> Reader:
    share = _share("hybrid_weight", retriever="hybrid", fusion=fusion)

    def read(argument: str) -> Values:
        if argument == AUTO:
            return {"retriever": "hybrid", "fusion": fusion, "hybrid_weight": None}
        if argument in (LEARNED, EQUAL) and fusion == "scores":
            return {"retriever": "hybrid", "fusion": argument}
        return share(argument)

    return read


def _rerank(argument: str) -> Values:
    if not argument:
        raise ValueError("takes the name or folder of a cross-encoder: rerank:NAME")
    return {"rerank": argument}


def _piece(kind: str, usual: int) -> Reader:
    def read(argument: str) -> Values:
        size = int(argument or usual) if re.fullmatch("[0-9]{0,3}", argument) else 0
        if not 1 <= size <= MOST_CHUNKS:
            raise ValueError(f"takes a number of chunks from 1 to {MOST_CHUNKS}")
        return {"context": f"{kind}:{size}"}

    return read


def _recency(kind: str) -> Reader:
    def read(argument: str) -> Values:
        policy = f"{kind} {argument}".strip()
        # Only whether it can be read; the day is told when it is applied.
        parse_recency(policy, today=dt.date.max)
        return {"recency": policy}

    return read


_RETRIEVERS: dict[str, Reader] = {
    "exact": _fixed(retriever="exact"),
    "vector": _fixed(retriever="vector"),
    "keyword": _fixed(retriever="keyword"),
    "hybrid": _hybrid("scores"),
    "ranks": _hybrid("ranks"),
    KEPT: _fixed(retriever=KEPT),
}
_STEPS: dict[str, Reader] = {
    "questions": _fixed(questions=True),
    "multi_query": _fixed(rewrite="multi_query"),
    "hyde": _fixed(rewrite="hyde"),
    "rerank": _rerank,
    "latest": _recency("latest"),
    "cutoff": _recency("cutoff"),
    "half-life": _recency("half-life"),
    "window": _piece("window", 1),
    "parent": _piece("parent", 4),
}


def _part(part: str, known: Mapping[str, Reader], spec: str) -> Values:
    # "half-life 90d" is the setting's form, "half-life:90d" that of the other parts.
    name, argument = [*re.split(r"\s*[\s:]\s*", part.strip(), maxsplit=1), ""][:2]
    if name not in known:
        raise ConfigError(_unknown(name, known, spec))
    try:
        return known[name](argument)
    except ValueError as error:
        reason = str(error) if str(error).startswith("takes") else "takes a number from 0 to 1"
        raise ConfigError(f"retriever {spec!r}: {name} {reason}") from None


def _unknown(name: str, known: Mapping[str, Reader], spec: str) -> str:
    what = "retriever" if known is _RETRIEVERS else "step"
    where = "" if name == spec else f" in {spec!r}"
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"unknown {what} {name!r}{where}, did you mean {near[0]}?"
    return (
        f"unknown {what} {name!r}{where}; it is one of {', '.join(known)}, as in "
        "hybrid:0.7+latest+window:1 or hybrid:learned"
    )
