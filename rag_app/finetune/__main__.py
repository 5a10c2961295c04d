"""`python -m rag_app.finetune`."""

from rag_app.cli import main

main("finetune")
