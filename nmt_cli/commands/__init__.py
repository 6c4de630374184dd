"""The verbs: wiring only, one file per command."""
