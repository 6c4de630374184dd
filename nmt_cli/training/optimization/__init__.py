"""Optimizers, learning rate schedules, the moving average of parameters, LoRA adapters and frozen parameters."""
