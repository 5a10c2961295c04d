"""A passage by its best sentence: vectors of sentences, kept beside the index, asked of a few."""
