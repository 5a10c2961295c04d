"""Names of indexes: short ones for new indexes, and what a prefix or an alias stands for."""

import hashlib
import re
from typing import TYPE_CHECKING

from rag_app.chunks import WHOLE_PASSAGES
from rag_app.errors import IndexMissing
from rag_app.models.weights import STAND_INS

if TYPE_CHECKING:
    from rag_app.index.catalog import Catalog
    from rag_app.index.info import IndexInfo

LONGEST = 30
BASE, TUNED = "base", "tuned"


def index_name(info: "IndexInfo") -> str:
    """At most 30 characters: model, chunk size, and a hash of all that made the index."""
    parts = (info.fingerprint, info.chunk_size, info.chunk_overlap, info.sentences)
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:6]
    mark = "" if info.model == info.base_model else f"-{TUNED}"
    size = "whole" if info.chunking == WHOLE_PASSAGES else info.chunk_size
    end = f"{mark}-{size}-{digest}"
    return short_model_name(info.base_model, LONGEST - len(end)) + end


def name_for(catalog: "Catalog", info: "IndexInfo") -> str:
    """The name of the index that is made so, or to be made."""
    former = _former_name(info)
    return former if former in catalog.names() else index_name(info)


def short_model_name(name: str, longest: int) -> str:
    """The last part of a model's name in letters, digits and dashes, cut between its words."""
    plain = re.sub(r"[^a-zA-Z0-9]+", "-", name.rstrip("/").rsplit("/", 1)[-1]).strip("-").lower()
    if len(plain) <= longest:
        return plain
    whole = plain[: longest + 1].rpartition("-")[0]
    return whole or plain[:longest]


def resolve(catalog: "Catalog", text: str) -> str:
    """The index that is meant by its name, by a beginning that no other has, by base or tuned.

    base and tuned are those with the model family and the chunking of the index in service.

    Raises:
        IndexMissing: none is meant, or more than one.
    """
    names = catalog.names()
    if text in names:
        return text
    aliased = text in (BASE, TUNED)
    found = _family(catalog, text) if aliased else [n for n in names if n.startswith(text)]
    if len(found) == 1:
        return found[0]
    if found:
        raise IndexMissing(
            f"{text!r} could be any of the indexes {', '.join(found)}; write more of the name"
        )
    known = ", ".join(names) or "none"
    raise IndexMissing(
        f"there is no index {text!r} {catalog.place} (known: {known}); "
        "run `rag-app ingest PATH`, or pick one with `rag-app index use NAME`"
    )


def _family(catalog: "Catalog", kind: str) -> list[str]:
    """The untuned or the tuned indexes; of several those that resemble the one in service."""
    infos = _infos(catalog)
    active = catalog.active.current()
    found = [n for n, info in infos.items() if (info.model != info.base_model) is (kind == TUNED)]
    if active in found:
        return [active]
    here = infos.get(active or "")
    alike = [n for n in found if here and _kin(infos[n]) == _kin(here)]
    return alike or found


def _kin(info: "IndexInfo") -> tuple[object, ...]:
    return info.base_model, info.chunking


def _infos(catalog: "Catalog") -> "dict[str, IndexInfo]":
    return {index.name: index.info for index in catalog.indexes()}


def _former_name(info: "IndexInfo") -> str:
    """As indexes were named up to version 0.1."""
    # What is rebuilt from 4-bit weights had the name of the full ones.
    name = next((full for full, ours in STAND_INS.items() if ours == info.model), info.model)
    model = re.sub(r"[^a-zA-Z0-9]+", "-", name.rsplit("/", 1)[-1]).strip("-").lower()[:40]
    marks = "" if info.sentences == "rules" else f"-{info.sentences}"
    size = f"{info.chunk_size}-{info.chunk_overlap}"
    return f"{model}-{size}{marks}-{info.fingerprint[:6]}"
