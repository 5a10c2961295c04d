"""Training of the map on questions: whitening, the in-domain gate, the map itself."""
