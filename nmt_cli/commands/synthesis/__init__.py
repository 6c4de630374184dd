"""Training text made by models: what back-translation and distillation share."""
