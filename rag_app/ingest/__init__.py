"""Stage: documents -> an index in line with them."""

from rag_app.callable_stage import make_callable

make_callable(__name__)
