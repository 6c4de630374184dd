"""How far scores and differences can be trusted: resampled, not assumed."""
