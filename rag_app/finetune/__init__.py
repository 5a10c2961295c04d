"""Fine-tuning the embedding model on question/passage pairs."""

from rag_app.callable_stage import make_callable

make_callable(__name__)
