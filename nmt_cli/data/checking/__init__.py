"""Checks of a recipe's text and settings before training. Each returns findings."""
