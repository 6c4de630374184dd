"""Ids of the special tokens of a vocabulary."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SpecialTokens:
    """Ids of the tokens that mark up a sequence, equal in the source and the target vocabulary."""

    pad: int
    """Fills a batch's rows behind the end of a sentence."""
    unk: int
    """Stands for text that has no token."""
    bos: int
    """Begins a sentence."""
    eos: int
    """Ends a sentence."""
    decoder_start: int
    """First input of the decoder; usually bos, in some models eos or pad."""

    @property
    def ids(self) -> frozenset[int]:
        """All of them."""
        return frozenset((self.pad, self.unk, self.bos, self.eos, self.decoder_start))


DEFAULT_SPECIAL_TOKENS = SpecialTokens(pad=0, unk=1, bos=2, eos=3, decoder_start=2)
"""Those of a new vocabulary."""
