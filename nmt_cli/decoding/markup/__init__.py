"""Markup and protected text: masked before translation, then reinserted by word alignment."""
