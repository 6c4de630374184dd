"""Parts of `nmt translate`: reading lines, translating windows of them in worker processes, writing translations."""
