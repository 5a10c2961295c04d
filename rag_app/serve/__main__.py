"""`python -m rag_app.serve` is `rag-app serve`."""

from rag_app.cli import main

main("serve")
