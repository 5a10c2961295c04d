"""Late interaction: a passage by its tokens, kept beside the index, asked of a few."""
