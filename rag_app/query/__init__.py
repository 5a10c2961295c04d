"""Stage: questions asked of an index, one at a time or in the REPL."""
