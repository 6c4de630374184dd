"""The recipe: all settings with their types and defaults; and the differences between two recipes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from nmt_cli.errors import RecipeError
from nmt_cli.recipe.data import Data, TokenizerSettings
from nmt_cli.recipe.decoding import Decoding
from nmt_cli.recipe.evaluation import Evaluation
from nmt_cli.recipe.model import DEFAULT_MODEL, DecoderOnlySettings, ModelSettings
from nmt_cli.recipe.section import Conflicts, File, Licence, Section
from nmt_cli.recipe.training import Training


class Recipe(Section):
    """Data, model, training, decoding and evaluation of one experiment."""

    format: Literal[1] = 1
    """Version of the recipe format. It increases when keys change incompatibly."""
    licence: Licence | None = None
    """Licence of the published model, for its model card."""
    run: File
    """Run directory for checkpoints, training log, model and scores."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    """Random seed for initialisation, dropout and shuffling."""
    data: Data
    tokenizer: TokenizerSettings = TokenizerSettings()
    model: ModelSettings = DEFAULT_MODEL
    """Architecture and size of the model. With `training.start_from` they are those of that model; only dropout and
    `layer_drop` may differ."""
    training: Training = Training()
    decoding: Decoding = Field(default={}, validate_default=True)  # the default strategy depends on the model
    """Search strategy and its settings."""
    evaluation: Evaluation = Evaluation()

    def conflicts(self) -> Conflicts:
        model, training, tokenizer = self.model, self.training, self.tokenizer
        if not self.gives("model") and training.start_from is None:
            yield "model", "is missing"
        yield from self._conflicts_of_text()
        learns = tokenizer.path is None and training.start_from is None  # an imported tokenizer is not known yet
        ties_sides = model.gives("tied_embeddings") and model.tied_embeddings in ("all", "input")
        if learns and ties_sides and not tokenizer.joint:
            yield "model.tied_embeddings", f"{model.tied_embeddings} requires tokenizer.joint: true; or use decoder"
        yield from self._conflicts_of_prefixes(learns)
        if model.output.copies and learns:
            yield from self._conflicts_of_copying()
        if training.parallel.type == "fsdp" and getattr(model, "layer_drop", False):
            yield "model.layer_drop", "is not supported with training.parallel.type: fsdp"
        for key in ("guided_alignment", "coverage_loss"):
            if getattr(training, key) is not None and not model.has_attention:
                of = "attention" if hasattr(model, "attention") else "architecture"
                yield ("training", key), f"requires attention, but model.{of} is {getattr(model, of)}"
        is_aligned = any(getattr(corpus, "alignment", None) for corpus in self.data.train.values())
        if training.guided_alignment is not None and not is_aligned:
            yield "training.guided_alignment", "requires data.train.NAME.alignment, which no corpus has"
        yield from self._conflicts_of_search()
        yield from self._conflicts_of_names()
        if training.subword_sampling is not None and learns and tokenizer.algorithm not in ("unigram", "bpe"):
            message = f"requires tokenizer.algorithm unigram or bpe, not {tokenizer.algorithm}"
            yield "training.subword_sampling", message
        for key in ("subword_sampling", "augmentation"):
            if self.data.factors and getattr(training, key) is not None:
                yield ("training", key), "is not supported with data.factors"

    def _conflicts_of_search(self) -> Conflicts:
        """Yield a strategy that does not suit the model, and settings of what a CTC model does not have."""
        architecture, training, given = self.model.architecture, self.training, self.decoding.strategy
        if self.decoding.search != self.model.search and self.gives("model"):
            suitable = "ctc" if self.model.search == "ctc" else "beam, sampling or mbr"
            yield "decoding.strategy", f"{given} does not suit model.architecture {architecture}; use {suitable}"
        if self.decoding.length is not None and not self.data.length_tags:
            yield "decoding.length", "requires data.length_tags: true"
        if self.model.search != "ctc":
            if training.glancing is not None and self.gives("model"):
                yield "training.glancing", f"requires model.architecture ctc, not {architecture}"
            return
        settings = {
            "training.consistency": training.consistency is not None,
            "training.scheduled_sampling": training.scheduled_sampling is not None,
            "training.word_dropout.target": training.word_dropout.target > 0,
            "data.sequence.language_tokens": self.data.sequence.language_tokens,
            "data.sequence.bos": self.data.sequence.bos,
        }
        for key, is_given in settings.items():
            if is_given:
                yield key, f"is not supported with model.architecture {architecture}, which reads no target; remove it"

    def _conflicts_of_text(self) -> Conflicts:
        """Yield what contradicts corpora without translations."""
        if not self.data.is_monolingual:
            return
        if self.gives("model") and not isinstance(self.model, DecoderOnlySettings):
            yield "model.architecture", f"{self.model.architecture} needs translations; text needs decoder_only"
        elif isinstance(self.model, DecoderOnlySettings) and self.model.reads_source:
            yield "model.source_attention", "needs translations; text has no source"
        if not self.tokenizer.joint:
            yield "tokenizer.joint", "must be true for text, which has one side"
        if not self.tokenizer.byte_fallback:
            yield "tokenizer.byte_fallback", "must be true for text, whose line breaks are bytes"
        if self.gives("training.validation.metric") and self.training.validation.metric != "loss":
            yield "training.validation.metric", f"{self.training.validation.metric} needs translations; use loss"
        for key in ("subword_sampling", "augmentation", "scheduled_sampling", "guided_alignment"):
            if getattr(self.training, key) is not None:
                yield ("training", key), "is not supported with text without translations"
        if self.training.word_dropout.source > 0:
            yield "training.word_dropout.source", "drops words of sources, which text does not have; set target instead"

    def _conflicts_of_prefixes(self, learns: bool) -> Conflicts:
        """Yield what contradicts a decoder-only translator, or a loss that only such a model has."""
        model = self.model
        source_attention = model.source_attention if isinstance(model, DecoderOnlySettings) else None
        if isinstance(model, DecoderOnlySettings) and not self.data.is_monolingual:
            if source_attention is None:
                needed = "bidirectional or causal, to translate; for text set data.train.NAME.format and data.valid"
                yield "model.source_attention", f"must be {needed}"
            elif learns and not self.tokenizer.joint:
                reason = "which reads source and target as one sequence"
                yield "tokenizer.joint", f"must be true for model.architecture decoder_only, {reason}"
        if self.training.source_loss and source_attention != "causal" and self.gives("model"):
            reason = "other models see the source tokens that they would predict"
            yield "training.source_loss", f"requires a decoder_only model with source_attention: causal; {reason}"

    def _conflicts_of_copying(self) -> Conflicts:
        """Yield settings that exclude copying with the tokenizer that the recipe trains."""
        if self.tokenizer.byte_fallback:
            if not self.tokenizer.joint:
                needed = "tokenizer.joint: true, or byte_fallback: false to copy words that the vocabulary lacks"
                yield "model.output.type", f"pointer_generator requires {needed}"
            return
        for key in ("data.context", "training.subword_sampling", "training.augmentation"):
            if self.value(key) is not None:
                yield key, "cannot be combined with pointer_generator and tokenizer.byte_fallback: false"

    def _conflicts_of_names(self) -> Conflicts:
        """Yield corpora in stages that do not exist, and symbols that are reserved tags."""
        for index, stage in enumerate(self.training.mixing.stages):
            for name in stage.weights:
                if name not in self.data.train:
                    key = ("training", "mixing", "stages", index, "weights", name)
                    yield key, f"is not a corpus of data.train, which has {', '.join(self.data.train)}"
        tags = {f"<{tag}>" for tag in [*self.data.reserved_tags, *(corpus.tag for corpus in self.data.train.values())]}
        for index, symbol in enumerate(self.tokenizer.symbols):
            if symbol in tags:
                yield ("tokenizer", "symbols", index), f"{symbol} is a reserved tag; use another name"


_CHANGEABLE = (
    "run",
    "licence",
    "data.test",
    "training.batch_tokens",
    "training.divergence",
    "training.limits",
    "training.logging",
    "training.validation",
    "training.checkpoints",
    "training.parallel",
    "training.optimizer.learning_rate",
    "training.optimizer.weight_decay",
    "training.schedule",
    "training.clip_norm",
    "training.label_smoothing",
    "evaluation",
)
"""Keys that may change when a run is resumed: its checkpoints can still be loaded, but the result may differ."""


@dataclass(frozen=True)
class SettingChange:
    """A setting whose value differs between two recipes."""

    key: str
    old: str
    """As JSON, such as "en" or 0.1."""
    new: str
    """As JSON."""


def changed_settings(old: Recipe, new: Recipe) -> list[SettingChange]:
    """Return the settings that differ, in the order of the schema. Sections in lists are keyed from 1."""
    return list(_changes(old.model_dump(mode="json"), new.model_dump(mode="json"), ""))


def check_resumable(old: Recipe, new: Recipe) -> None:
    """Raise RecipeError, with a line per setting, if a run started with `old` cannot be resumed with `new`."""
    refused = [
        f"{change.key}: was {change.old} when the run started, is now {change.new}; restore it, or start a new run:"
        " with --fresh, or with training.start_from, which takes the parameters of this one"
        for change in changed_settings(old, new)
        if not any(change.key == key or change.key.startswith(f"{key}.") for key in _CHANGEABLE)
    ]
    if refused:
        raise RecipeError("\n".join(refused))


def _changes(old: Any, new: Any, key: str) -> Iterator[SettingChange]:
    """Yield the differences within a section. Lists of sections of equal length are compared by index, from 1."""
    if _are_sections(old) and _are_sections(new) and len(old) == len(new):
        old, new = (dict(enumerate(sections, 1)) for sections in (old, new))
    if isinstance(old, dict) or isinstance(new, dict):
        before, after = old or {}, new or {}
        for name in dict.fromkeys([*before, *after]):
            yield from _changes(before.get(name), after.get(name), f"{key}.{name}" if key else str(name))
    elif old != new:
        yield SettingChange(key, *(json.dumps(value, ensure_ascii=False) for value in (old, new)))


def _are_sections(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(inner, dict) for inner in value)
