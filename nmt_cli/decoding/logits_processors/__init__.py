"""Logits processors: hard and soft constraints on the next token.

They change the ranking of tokens, never the log-probabilities that are reported; those of forbidden tokens may be -inf.
"""
