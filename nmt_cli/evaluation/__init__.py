"""Scores, significance tests and breakdowns of translations, for any system. Works on strings."""
