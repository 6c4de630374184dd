"""Markup and protected text: masked before translation, and reinserted into the translation by word alignment."""
