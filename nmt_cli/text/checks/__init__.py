"""What is suspicious about a translation, seen from its source and itself alone; output and training pairs share it."""

from nmt_cli.text.checks.checker import Checker
from nmt_cli.text.checks.finding import Finding, Problem

__all__ = ["Checker", "Finding", "Problem"]
