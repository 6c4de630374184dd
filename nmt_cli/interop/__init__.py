"""Our models ↔ those of other programs, one file for each format."""
