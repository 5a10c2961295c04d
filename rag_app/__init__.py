"""Tune retrieval on your own documents, and know whether it helped."""

__version__ = "0.1.0"
