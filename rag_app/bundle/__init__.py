"""Bundles: an index, the models it is asked with and its settings in one archive."""

from rag_app.bundle.opening import Opened, open_bundle
from rag_app.bundle.packing import Packed, pack_bundle, refuse_archive

__all__ = ["Opened", "Packed", "open_bundle", "pack_bundle", "refuse_archive"]
