"""Training of the query adapter: whitening, and the adapter itself."""
