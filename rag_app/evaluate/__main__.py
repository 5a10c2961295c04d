"""`python -m rag_app.evaluate`."""

from rag_app.cli import main

main("evaluate")
