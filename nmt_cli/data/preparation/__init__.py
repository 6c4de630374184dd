"""Corpora → prepared data: in slabs, by any number of processes and jobs, then merged."""
