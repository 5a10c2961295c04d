"""`python -m rag_app`: the same as `rag-app`."""

from rag_app.cli import main

main()
