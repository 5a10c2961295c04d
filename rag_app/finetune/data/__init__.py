"""What a training is given: rows, batches, negatives, dev set."""
