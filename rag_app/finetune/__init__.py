"""Fine-tuning the embedding model on question/passage pairs."""
