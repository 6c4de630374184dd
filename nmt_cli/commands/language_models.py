"""Loading of language models, to continue and to score text."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nmt_cli.errors import ModelError

if TYPE_CHECKING:
    from nmt_cli.commands.loading import LoadedModel
    from nmt_cli.decoding.scoring.documents import DocumentScorer
    from nmt_cli.decoding.text_generator import TextGenerator


def load_language_model(path: Path, overrides: Sequence[str] = (), adapter: Path | None = None) -> "LoadedModel":
    """Load a language model; ModelError if the model at `path` is another one. See `load_model`."""
    from nmt_cli.commands.loading import load_model

    loaded = load_model(path, overrides, adapter)
    if loaded.model.capabilities.source != "none":
        raise ModelError(f"{path}: translates sources; use nmt translate, or name a language model")
    return loaded


def create_text_generator(loaded: "LoadedModel") -> "TextGenerator":
    """Create a generator. On a CPU this changes the model, which must not be used for anything else afterwards."""
    from nmt_cli.commands.translators import prepare_for_inference
    from nmt_cli.decoding.constraints.spelling import suppressed_tokens
    from nmt_cli.decoding.text_generator import TextGenerator

    return TextGenerator(
        loaded.model,
        loaded.tokenizer,
        loaded.decoding,
        loaded.device,
        loaded.config.longest_sentence,
        prepare_for_inference(loaded),
        tuple(suppressed_tokens(loaded.tokenizer)),
    )


def create_document_scorer(loaded: "LoadedModel") -> "DocumentScorer":
    """Create a scorer. On a CPU this changes the model, as `create_text_generator` does."""
    from nmt_cli.commands.translators import prepare_for_inference
    from nmt_cli.decoding.scoring.documents import DocumentScorer

    precision = prepare_for_inference(loaded)
    return DocumentScorer(loaded.model, loaded.tokenizer, loaded.config.longest_sentence, loaded.device, precision)
