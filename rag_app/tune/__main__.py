"""`python -m rag_app.tune` is `rag-app tune`."""

from rag_app.cli import main

main("tune")
