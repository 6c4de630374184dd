"""Objectives: a module that holds the model and turns a batch into a summed loss; it is what is wrapped for many devices."""
