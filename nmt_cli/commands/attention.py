"""A model and lines with their translations → where it looked, by one forced decode of each."""

from collections.abc import Iterable, Sequence

import torch

from nmt_cli.commands.loading import LoadedModel
from nmt_cli.commands.translators import source_tags
from nmt_cli.decoding.scoring import score_targets
from nmt_cli.models.contract import ModelInputs
from nmt_cli.reporting.plots.figures import AttentionMap

MOST_SUBWORDS = 80
"""Of either side; a larger picture could not be read."""


def attention_maps(
    loaded: LoadedModel, lines: Iterable[tuple[int, str, str]], target_language: str | None = None
) -> list[AttentionMap]:
    """Maps of lines, each a number, a source and its translation.

    They are in the model's own target language if no other is named. Those that are too long to be drawn are left out,
    and so are all if the model has no attention, or needs factors of words or other
    lines, which these do not tell.
    """
    if loaded.tokenizer.factors.names or loaded.config.context is not None:
        return []
    tags = source_tags(loaded).ids(target_language)
    maps = (_map(loaded, tags, number, source, translation) for number, source, translation in lines)
    return [found for found in maps if found is not None]


def _map(loaded: LoadedModel, tags: Sequence[int], number: int, source: str, translation: str) -> AttentionMap | None:
    tokenizer, eos = loaded.tokenizer, loaded.model.vocabulary.special_tokens.eos
    sources = [*tags, *tokenizer.encode_source([source])[0], eos]
    targets = [*tokenizer.encode_target([translation])[0], eos]
    if max(len(sources), len(targets)) > MOST_SUBWORDS:
        return None
    source_tokens = ModelInputs.from_ids(torch.tensor([sources], device=loaded.device))
    (scores,) = score_targets(loaded.model, source_tokens, [targets[:-1]], attention=True)
    if scores.cross_attention is None:
        return None
    return AttentionMap(
        number,
        _pieces(tokenizer.source.entries, sources),
        _pieces(tokenizer.target.entries, targets),
        scores.cross_attention.tolist(),
    )


def _pieces(vocabulary: Sequence[str], tokens: Sequence[int]) -> list[str]:
    return [vocabulary[token] for token in tokens]
