"""The query adapter: a linear map on query vectors, at the end of a sentence-transformers model.

It is kept as that library's Router over a Dense layer, so that its `encode_query` and
`encode_document` do the same as we do; `encode` alone gives the vectors of passages, which no
adapter changes.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file

from rag_app.disk import write_whole
from rag_app.models.folders import MODULES, change_settings, copy_model

Floats = npt.NDArray[np.float32]

# Folder within the model's; beside the adapter it keeps the list of modules as it was without.
QUERY_MAP = "query_map"


@dataclass(frozen=True)
class QueryMap:
    """Moves a question by a linear map of itself: q becomes q + `change` q, at unit length again.

    Fields:
        change: (dim, dim); zeros leave every vector where it is.
    """

    change: Floats

    def __call__(self, vectors: Floats) -> Floats:
        """Move questions: (n, dim), of unit length before and after."""
        moved = vectors + vectors @ self.change.T
        lengths = np.linalg.norm(moved, axis=1, keepdims=True)
        return np.asarray(moved / np.maximum(lengths, 1e-12), dtype=np.float32)

    def modules(self, inputs: int | None = None) -> list[Any]:
        """The same as sentence-transformers' modules, the last of which normalises.

        Arguments:
            inputs: numbers of a question that comes in, of which the first `dim` are read; None:
                just as many.
        """
        from sentence_transformers.sentence_transformer.modules import Normalize

        one = np.eye(len(self.change), dtype=np.float32)
        # encode cuts vectors behind the last module, which is too late for an adapter.
        cut = [_dense(np.eye(len(one), inputs, dtype=np.float32)), Normalize()]
        is_cut = inputs not in (None, len(one))
        return [*(cut if is_cut else []), _dense(one + self.change), Normalize()]


def _dense(weights: Floats) -> Any:
    """A linear layer of given weights, (outputs, inputs)."""
    import torch
    from sentence_transformers.sentence_transformer.modules import Dense

    outputs, inputs = weights.shape
    layer = Dense(inputs, outputs, bias=False, activation_function=torch.nn.Identity())
    with torch.no_grad():
        layer.linear.weight.copy_(torch.from_numpy(weights))
    return layer


def add_query_map(
    base: Path,
    target: Path,
    query_map: QueryMap,
    *,
    prompts: Mapping[str, str],
    inputs: int | None = None,
) -> None:
    """Copy the folder of a model to `target`, which must not be there, and add the adapter.

    Arguments:
        prompts: by task, since the folder of a base may not name them.
        inputs: length of the base's vectors before they are cut, if they are.
    """
    from sentence_transformers.sentence_transformer.modules import Router

    copy_model(base, target)
    router = Router.for_query_document(query_map.modules(inputs), [], default_route="document")
    folder = target / QUERY_MAP
    folder.mkdir()
    router.save(str(folder))
    shutil.copy(base / MODULES, folder / MODULES)
    modules = json.loads((base / MODULES).read_text("utf-8"))
    kind = f"{Router.__module__}.{Router.__qualname__}"
    last = len(modules)
    modules.append({"idx": last, "name": str(last), "path": QUERY_MAP, "type": kind})
    write_whole(target / MODULES, json.dumps(modules, indent=2))
    change_settings(target, prompts=dict(prompts))


def read_query_map(model: Path) -> QueryMap:
    """The adapter of a model's folder that `add_query_map` wrote.

    Raises:
        OSError, ValueError, LookupError: it is not of the form that `QueryMap.modules` gives.
    """
    folder = model / QUERY_MAP
    config = json.loads((folder / "router_config.json").read_text("utf-8"))
    *_, last = (
        folder / name
        for name in config["structure"]["query"]
        if config["types"][name].endswith(".Dense")
    )
    weights = load_file(last / "model.safetensors")["linear.weight"]
    return QueryMap(weights - np.eye(len(weights), dtype=np.float32))
