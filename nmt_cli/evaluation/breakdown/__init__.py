"""Breakdown of scores: by kind of sentence, word frequency, n-gram, line, and perturbation of the source."""
