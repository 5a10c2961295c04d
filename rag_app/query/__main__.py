"""`python -m rag_app.query` is `rag-app query`."""

from rag_app.cli import main

main("query")
