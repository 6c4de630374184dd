"""Rules of search: what must not be said, and what is preferred. They change the ranking, never a log-probability."""

from nmt_cli.decoding.rules.always import Forbid, MinimumLength
from nmt_cli.decoding.rules.assembly import rules_of
from nmt_cli.decoding.rules.rule import Rule, Said, Words

__all__ = ["Forbid", "MinimumLength", "Rule", "Said", "Words", "rules_of"]
