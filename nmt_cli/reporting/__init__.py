"""Runs → pages people read."""
