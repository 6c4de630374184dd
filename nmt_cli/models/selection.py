"""Which sentences a selection of hypotheses keeps."""

import torch
from torch import Tensor


def sentences_of(rows: Tensor, hypotheses: int, sentences: int) -> Tensor | None:
    """The sentence [B'] of each row of hypothesis numbers [B',k'], counted sentence·hypotheses + place.

    None if these are all the sentences in their order, so that what is held for each sentence can stay where it is.
    """
    kept = rows[:, 0] // hypotheses
    if len(kept) == sentences and torch.equal(kept, torch.arange(sentences, device=rows.device)):
        return None
    return kept
