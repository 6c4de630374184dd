"""Attention maps of translated lines, by teacher forcing."""

from collections.abc import Iterable
from dataclasses import replace

import torch

from nmt_cli.commands.loading import LoadedModel
from nmt_cli.commands.translators import source_tags
from nmt_cli.data.tokenizing.tags import SourceTags
from nmt_cli.decoding.requests import TranslateOptions
from nmt_cli.decoding.scoring import score_targets
from nmt_cli.models.contract import ModelInputs
from nmt_cli.reporting.plots.figures import AttentionMap

MAX_SUBWORDS = 80
"""Maximum subwords of either side; larger maps would be unreadable."""


def attention_maps(
    loaded: LoadedModel, lines: Iterable[tuple[int, str, str]], target_language: str | None = None
) -> list[AttentionMap]:
    """Return the attention maps of lines, each given as a number, a source and its translation.

    Lines that are too long are left out. There are no maps if the model has no attention, or needs source factors or
    context.

    Args:
        target_language: Language of the translations; default: that of the model.
    """
    if loaded.tokenizer.factors.names or loaded.config.context is not None:
        return []
    has_tokens = loaded.config.language_tokens is not None
    tags = source_tags(
        loaded.config, loaded.tokenizer, TranslateOptions(target_language=target_language if has_tokens else None)
    )
    maps = (_map(loaded, tags, target_language, *line) for line in lines)
    return [found for found in maps if found is not None]


def _map(
    loaded: LoadedModel, tags: SourceTags, language: str | None, number: int, source: str, translation: str
) -> AttentionMap | None:
    tokenizer, eos = loaded.tokenizer, loaded.model.vocabulary.special_tokens.eos
    sources = [*tags.ids(language), *tokenizer.encode_source([source])[0], eos, *tags.suffix]
    targets = [*tokenizer.encode_target([translation])[0], eos]
    if max(len(sources), len(targets)) > MAX_SUBWORDS:
        return None
    inputs = ModelInputs.from_ids(torch.tensor([sources], device=loaded.device))
    if prompt := tags.prompt(language):
        inputs = replace(inputs, prompt=torch.tensor([prompt], device=loaded.device))
    (scores,) = score_targets(loaded.model, inputs, [targets[:-1]], attention=True)
    if scores.cross_attention is None:
        return None
    source_pieces = [tokenizer.source.entries[token] for token in sources]
    target_pieces = [tokenizer.target.entries[token] for token in targets]
    return AttentionMap(number, source_pieces, target_pieces, scores.cross_attention.tolist())
