"""The REPL of `rag-app query`: what is typed, the commands, and what they show."""
