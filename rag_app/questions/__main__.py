"""`python -m rag_app.questions`."""

from rag_app.cli import main

main("questions")
