"""Preprocessing: corpora → prepared data, in shards, by any number of processes and jobs, then merged."""
