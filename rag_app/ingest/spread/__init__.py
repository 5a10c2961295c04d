"""Reading, splitting and embedding spread over processes and machines with Ray."""

from rag_app.ingest.spread.cluster import LOCAL, RayCluster
from rag_app.ingest.spread.spreading import Spreading

__all__ = ["LOCAL", "RayCluster", "Spreading"]
