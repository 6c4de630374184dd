"""Lines: reading them, normalising them, judging a pair of them."""
