"""Logits processors: hard and soft constraints on the next token.

A reported log-probability is always the model's; forbidden tokens may be -inf.
"""
