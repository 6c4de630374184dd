"""Search strategies: find the best translations that a model gives under constraints."""
