"""`python -m rag_app.report`."""

from rag_app.cli import main

main("report")
