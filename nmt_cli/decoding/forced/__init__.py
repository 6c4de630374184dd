"""Forced decoding: what a model thinks of given translations, and what that tells of their words."""

from nmt_cli.decoding.forced.decoding import Forced, force

__all__ = ["Forced", "force"]
