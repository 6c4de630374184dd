"""Steering: what is wished of translations, in raw text → in tokens, for search; and what has become of it."""
