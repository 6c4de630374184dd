"""Special tokens and sizes of a vocabulary."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Self

COPY_IDS = "copy_ids"
"""Name of the source column with the target token that each source token is copied as: V + j for the j-th word of a
sentence that the target vocabulary lacks."""


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


@dataclass(frozen=True)
class VocabularySpec:
    """What a model must know of a tokenizer."""

    source_size: int
    target_size: int
    special_tokens: SpecialTokens = DEFAULT_SPECIAL_TOKENS
    columns: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """For each source column that the model embeds, the number of ids of each of its values; id 0 stands for none."""

    def with_target_tokens(self, tokens: Sequence[int]) -> Self:
        """Return the vocabulary of some target ids, ascending and with all special tokens; each is called its index."""
        special = {name: bisect_left(tokens, token) for name, token in asdict(self.special_tokens).items()}
        return replace(self, target_size=len(tokens), special_tokens=SpecialTokens(**special))
