"""A run → one page that needs nothing else."""
