"""What `program` imports once for all processes that it forks; nothing here starts a thread."""

import gc
import importlib
import os

from rag_app.environment import prepare_environment
from rag_app.lazy_packages import make_lazy

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
prepare_environment(offline=True)
make_lazy()
for name in (
    "sentence_transformers",
    "rag_app.cli.app",
    "rag_app.finetune.stage",
    "rag_app.ingest.stage",
    "rag_app.query.session",
):
    importlib.import_module(name)
gc.freeze()
