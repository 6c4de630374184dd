"""Subword sampling: text cut into subwords at random (Kudo 2018; Provilkov et al. 2020).

SentencePiece draws such cuts, too, but no seed makes it draw the same ones in another process, so that no run could
go on as if it had never been stopped. They are drawn here, by its pieces and their scores, for all words at once.
"""
