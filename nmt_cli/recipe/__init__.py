"""The schema of recipes, presets and YAML loading. Does not import torch."""
