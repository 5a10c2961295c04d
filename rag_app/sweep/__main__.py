"""`python -m rag_app.sweep`."""

from rag_app.cli import main

main("sweep")
