"""Training of the weights: losses, methods, the trainer and what makes it fast."""
