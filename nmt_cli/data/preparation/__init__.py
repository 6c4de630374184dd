"""Preprocessing: jobs prepare shards of the corpora in parallel, and one job merges them into the prepared data."""
