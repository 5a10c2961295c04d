"""A linear map on questions' vectors, at the end of a sentence-transformers model.

It is kept as that library's Router, so that its `encode_query` and `encode_document` do the same as
we do; `encode` alone gives the vectors of passages, which no map changes.
"""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

# Folder within the model's; beside the map it keeps the list of modules as it was without it.
QUERY_MAP = "query_map"
MODULES = "modules.json"
SETTINGS = "config_sentence_transformers.json"


def add_query_map(
    base: Path, target: Path, matrix: npt.NDArray[np.float32], *, prompts: Mapping[str, str]
) -> None:
    """Copy the folder of a model to `target`, which must not be there, and add the map.

    Arguments:
        matrix: (dim, dim); a question's vector q becomes matrix q, at unit length.
        prompts: by task, since the folder of a base may not name them.
    """
    import torch
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Router

    # Where the folders are siblings both are ours, and one copy of the weights is enough for both.
    shutil.copytree(
        base, target, copy_function=_share_weights if base.parent == target.parent else shutil.copy2
    )
    dense = Dense(*matrix.shape, bias=False, activation_function=torch.nn.Identity())
    with torch.no_grad():
        dense.linear.weight.copy_(torch.from_numpy(matrix))
    router = Router.for_query_document([dense, Normalize()], [], default_route="document")
    folder = target / QUERY_MAP
    folder.mkdir()
    router.save(str(folder))
    shutil.copy(base / MODULES, folder / MODULES)
    modules = json.loads((base / MODULES).read_text("utf-8"))
    kind = f"{Router.__module__}.{Router.__qualname__}"
    last = len(modules)
    modules.append({"idx": last, "name": str(last), "path": QUERY_MAP, "type": kind})
    (target / MODULES).write_text(json.dumps(modules, indent=2), "utf-8")
    _set_prompts(target / SETTINGS, prompts)


def _share_weights(source: str, target: str) -> None:
    if source.endswith(".safetensors"):
        try:
            os.link(source, target)
            return
        except OSError:  # a disk that knows no links
            pass
    shutil.copy2(source, target)


def _set_prompts(path: Path, prompts: Mapping[str, str]) -> None:
    known = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    path.write_text(json.dumps({**known, "prompts": dict(prompts)}, indent=2), "utf-8")
