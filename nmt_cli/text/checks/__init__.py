"""Check translations for probable errors from source and output alone; used for output and for training pairs."""

from nmt_cli.text.checks.checker import Checker
from nmt_cli.text.checks.finding import Problem, TranslationFinding

__all__ = ["Checker", "Problem", "TranslationFinding"]
