"""nmt: neural machine translation from raw parallel text to a trustworthy score."""

__version__ = "0.1.0"
