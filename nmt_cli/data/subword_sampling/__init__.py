"""Subword sampling: text is split at random (Kudo 2018; Provilkov et al. 2020).

SentencePiece can sample, too, but no seed makes it draw the same segmentations in another process, so a resumed run
would differ. Segmentations are drawn here, from its pieces and their scores, for all words at once.
"""
