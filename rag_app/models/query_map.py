"""The query adapter: a linear map on query vectors, at the end of a sentence-transformers model.

It is kept as that library's Router over Dense layers, so that its `encode_query` and
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
    """Moves a question by a linear map of itself, less the further it is out of domain.

    q becomes q + what is left of `change` q once each of its entries has shrunk by
    max(0, `limit` - `gate` . q), at unit length again.

    Fields:
        change: (dim, dim); zeros leave every vector where it is.
        gate: (dim,) whose product with a question says how far it is in domain; zeros treat all
            alike.
        limit: the product from which on nothing shrinks.
    """

    change: Floats
    gate: Floats
    limit: float = 0.0

    @classmethod
    def everywhere(cls, change: Floats) -> "QueryMap":
        """The adapter without a gate: it moves every question."""
        return cls(change, np.zeros(len(change), np.float32))

    def __call__(self, vectors: Floats) -> Floats:
        """Move questions: (n, dim), of unit length before and after."""
        moves = vectors @ self.change.T
        shrink = np.maximum(self.limit - vectors @ self.gate, 0)[:, np.newaxis]
        moved = vectors + np.sign(moves) * np.maximum(np.abs(moves) - shrink, 0)
        lengths = np.linalg.norm(moved, axis=1, keepdims=True)
        return np.asarray(moved / np.maximum(lengths, 1e-12), dtype=np.float32)

    def modules(self, inputs: int | None = None) -> list[Any]:
        """The same as sentence-transformers' modules, the last of which normalises.

        A Dense layer has no way around it. So the question itself passes through two rectifiers
        raised by 1, which keeps its entries above zero, and moves pass as two halves.

        Arguments:
            inputs: numbers of a question that comes in, of which the first `dim` are read; None:
                just as many.
        """
        import torch
        from sentence_transformers.sentence_transformer.modules import Normalize

        dim = len(self.change)
        one, none = np.eye(dim, dtype=np.float32), np.zeros((dim, dim), np.float32)
        raised, level = np.ones(dim, np.float32), np.zeros(dim, np.float32)
        shrink = -np.ones((dim, 1), np.float32)
        first = np.vstack([one, self.change, -self.change, -self.gate])
        second = np.block(
            [
                [one, none, none, np.zeros_like(shrink)],
                [none, one, none, shrink],
                [none, none, one, shrink],
            ]
        )
        third = np.hstack([one, one, -one])
        # encode cuts vectors behind the last module, which is too late for an adapter.
        cut = [
            _dense(np.eye(dim, inputs, dtype=np.float32), level, torch.nn.Identity()),
            Normalize(),
        ]
        return [
            *(cut if inputs not in (None, dim) else []),
            _dense(first, [*raised, *level, *level, self.limit], torch.nn.ReLU()),
            _dense(second, np.zeros(3 * dim), torch.nn.ReLU()),
            _dense(third, -raised, torch.nn.Identity()),
            Normalize(),
        ]


def _dense(weights: Floats, bias: Any, activation: Any) -> Any:
    """A layer of given weights, (outputs, inputs), and bias, (outputs,)."""
    import torch
    from sentence_transformers.sentence_transformer.modules import Dense

    outputs, inputs = weights.shape
    layer = Dense(inputs, outputs, activation_function=activation)
    with torch.no_grad():
        layer.linear.weight.copy_(torch.from_numpy(weights))
        layer.linear.bias.copy_(torch.as_tensor(np.asarray(bias, np.float32)))
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
    layers = [
        load_file(folder / name / "model.safetensors")
        for name in config["structure"]["query"]
        if config["types"][name].endswith(".Dense")
    ]
    *_, first, _second, third = layers
    weight, bias = first["linear.weight"], first["linear.bias"]
    dim = len(third["linear.bias"])
    return QueryMap(weight[dim : 2 * dim], -weight[3 * dim], float(bias[3 * dim]))
