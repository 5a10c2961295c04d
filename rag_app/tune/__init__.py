"""Stage: ingest, questions, finetune and sweep in one go."""
