"""Names of indexes: short ones for new indexes, and what a prefix or an alias stands for."""

import hashlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from rag_app.chunking import WHOLE_PASSAGES
from rag_app.models.derived import split_derived
from rag_app.models.weights import STAND_INS

if TYPE_CHECKING:
    from rag_app.index.info import IndexInfo

LONGEST = 30
BASE, TUNED = "base", "tuned"


def index_name(info: "IndexInfo") -> str:
    """At most 30 characters: model, chunk size, and a hash of all that made the index.

    A model that is cut or distilled keeps its ending, such as -256d.
    """
    parts = (info.fingerprint, info.chunk_size, info.chunk_overlap, info.sentences)
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:6]
    mark = "" if info.model == info.base_model else f"-{TUNED}"
    size = "whole" if info.chunking == WHOLE_PASSAGES else info.chunk_size
    base, ending = split_derived(info.base_model) or (info.base_model, "")
    end = f"{ending}{mark}-{size}-{digest}"
    return short_model_name(base, LONGEST - len(end)) + end


def name_for(known: Collection[str], info: "IndexInfo") -> str:
    """The name of the index that is made so, or to be made.

    Arguments:
        known: names of the indexes that there are.
    """
    former = _former_name(info)
    return former if former in known else index_name(info)


def short_model_name(name: str, longest: int) -> str:
    """The last part of a model's name in letters, digits and dashes, cut between its words."""
    plain = re.sub(r"[^a-zA-Z0-9]+", "-", name.rstrip("/").rsplit("/", 1)[-1]).strip("-").lower()
    if len(plain) <= longest:
        return plain
    whole = plain[: longest + 1].rpartition("-")[0]
    return whole or plain[:longest]


def meant(
    text: str,
    known: Sequence[str],
    infos: "Callable[[], Mapping[str, IndexInfo]]",
    active: str | None,
) -> list[str]:
    """The indexes that may be meant by a name, by a beginning of one, by base or tuned.

    base and tuned are those with the model family and the chunking of the index in service.

    Arguments:
        known: names of all indexes.
        infos: what made each of them; asked for only where an alias is meant.
        active: the index in service.
    """
    if text in known:
        return [text]
    if text in (BASE, TUNED):
        return _family(infos(), text, active)
    return [name for name in known if name.startswith(text)]


def _family(infos: "Mapping[str, IndexInfo]", kind: str, active: str | None) -> list[str]:
    """The untuned or the tuned indexes; of several those that resemble the one in service."""
    found = [n for n, info in infos.items() if (info.model != info.base_model) is (kind == TUNED)]
    if active in found:
        return [active]
    here = infos.get(active or "")
    alike = [n for n in found if here and _kin(infos[n]) == _kin(here)]
    return alike or found


def _kin(info: "IndexInfo") -> tuple[object, ...]:
    return info.base_model, info.chunking


def _former_name(info: "IndexInfo") -> str:
    """As indexes were named up to version 0.1."""
    # What is rebuilt from 4-bit weights had the name of the full ones.
    name = next((full for full, ours in STAND_INS.items() if ours == info.model), info.model)
    model = re.sub(r"[^a-zA-Z0-9]+", "-", name.rsplit("/", 1)[-1]).strip("-").lower()[:40]
    marks = "" if info.sentences == "rules" else f"-{info.sentences}"
    size = f"{info.chunk_size}-{info.chunk_overlap}"
    return f"{model}-{size}{marks}-{info.fingerprint[:6]}"
