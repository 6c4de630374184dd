"""Blocks: the part of an epoch that is in memory, planned from seed, epoch and number alone."""
