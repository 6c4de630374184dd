"""Arguments that functions of the Python interface share."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Literal, TypedDict

from nmt_cli import console

PathLike = str | os.PathLike[str]
RecipeChanges = Mapping[str, object]
"""Changed settings of a recipe by dotted key, as after `--set`: {"training.limits.updates": 100}."""
OnMessage = Callable[[str], object]
"""Receives each message that the command line would print."""


class TranslateSettings(TypedDict, total=False):
    """Options of `nmt translate` and settings of the section `decoding`; docs/recipe.md describes the latter."""

    glossary: PathLike | Mapping[str, str | Sequence[str]]
    """A file, or target terms by source term."""
    glossary_mode: Literal["soft", "hard"]
    bad_words: Sequence[str]
    toxic_words: Sequence[str]
    source_toxic_words: Sequence[str]
    alignment: bool
    word_scores: bool
    markup: bool
    protect: Sequence[str]
    source_language: str | None
    target_language: str | None
    corpus_tag: str | None
    strategy: Literal["beam", "sampling", "mbr", "ctc"]
    n_best: int
    length: Literal["short", "normal", "long"] | None
    length_penalty: float
    max_length_ratio: float
    max_length_offset: float
    max_length: int | None
    min_length: int
    no_repeat_ngram_size: int | None
    split_sentences_above: int | None
    check: bool
    glossary_bonus: float
    batch_tokens: int
    precision: Literal["fp32", "bf16", "int8"]
    """Only for `load_translator`: it applies to the loaded parameters."""
    replace_unknown: bool
    language_model: Mapping[str, object] | None
    """Its `path` and `weight`."""
    ngram_model: Mapping[str, object] | None
    """Its `path` and `weight`."""
    shortlist: bool
    beam_size: int
    early_stopping: bool | Literal["never"]
    coverage_penalty: float
    num_beam_groups: int
    diversity_penalty: float
    temperature: float
    top_k: int | None
    top_p: float | None
    min_p: float | None
    epsilon: float | None
    seed: int
    utility: Literal["chrf", "bleu"]
    num_candidates: int
    candidates_from: Literal["sampling", "beam"]


def to_overrides(settings: RecipeChanges | None) -> list[str]:
    """Return settings as KEY=VALUE."""
    return [
        f"{key}={json.dumps(value, ensure_ascii=False, default=os.fspath)}" for key, value in (settings or {}).items()
    ]


def messages(on_message: OnMessage | None) -> AbstractContextManager[None]:
    """Return a context in which messages go to `on_message`, or nowhere."""
    return console.captured(on_message or (lambda message: None))
