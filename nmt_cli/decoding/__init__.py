"""Search, constraints, repair, scoring and the translator."""
