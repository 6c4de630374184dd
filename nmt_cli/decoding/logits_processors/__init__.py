"""Logits processors: hard and soft constraints on the next token. They change the ranking, never a log-probability."""
