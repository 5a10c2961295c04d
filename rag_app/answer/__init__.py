"""Passages and a question -> an answer with checked citations; conversation."""
