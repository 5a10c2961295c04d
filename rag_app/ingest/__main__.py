"""`python -m rag_app.ingest` is `rag-app ingest`."""

from rag_app.cli import main

main("ingest")
