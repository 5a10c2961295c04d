"""BM25: analysis of words, the index, and the folder that keeps it."""
