"""Filters of training corpora: those that judge each pair alone, and those that compare all pairs by key."""
