"""Objectives: a module that holds the model and turns a batch into a summed loss; devices share that module."""
