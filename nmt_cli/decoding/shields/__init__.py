"""What must come through translation untouched: markup and protected spans, put back by word alignment."""

from nmt_cli.decoding.shields.shield import Shield, protecting
from nmt_cli.decoding.shields.sparing import Sparing

__all__ = ["Shield", "Sparing", "protecting"]
