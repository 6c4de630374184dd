"""Loss → better weights: objectives, optimizer, loop, validation."""
