"""What to do: the recipe's schema, presets and YAML loading. No torch here."""
