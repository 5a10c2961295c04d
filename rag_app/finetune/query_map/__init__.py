"""Training of the query adapter: whitening, the in-domain gate, the adapter itself."""
