"""How gradients change weights: optimizers, schedules, averages, and what stays as it is."""
