"""Constraints on translations: from raw text to target tokens, and their use in the result."""
