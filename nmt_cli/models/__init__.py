"""Tensors → scores: the models, behind one contract."""
