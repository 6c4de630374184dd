"""Scoring of given translations by teacher forcing, and the word alignments and scores that follow from it."""

from nmt_cli.decoding.scoring.targets import TargetScores, score_targets

__all__ = ["TargetScores", "score_targets"]
