"""Scores → text: search strategies, rules, translator."""
