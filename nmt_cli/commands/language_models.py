"""Language models that continue and score text."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nmt_cli.commands.loading import LoadedModel
    from nmt_cli.decoding.scoring.documents import DocumentScorer
    from nmt_cli.decoding.text_generator import TextGenerator


def create_text_generator(loaded: "LoadedModel") -> "TextGenerator":
    """Create a generator. On a CPU this changes the model, which must not be used for anything else afterwards."""
    from nmt_cli.commands.loading import require_restrictable
    from nmt_cli.commands.translators import prepare_for_inference, uses_shortlist
    from nmt_cli.decoding.constraints.spelling import suppressed_tokens
    from nmt_cli.decoding.text_generator import TextGenerator
    from nmt_cli.evaluation.target_language import for_language

    if uses_shortlist(loaded):
        require_restrictable(loaded.model.capabilities)
    line_break = loaded.tokenizer.target.line_break
    return TextGenerator(
        loaded.model,
        loaded.tokenizer,
        loaded.decoding,
        loaded.device,
        loaded.config.longest_sentence,
        prepare_for_inference(loaded),
        tuple(suppressed_tokens(loaded.tokenizer, () if line_break is None else (line_break,))),
        for_language(loaded.evaluation, loaded.config.target_language),
    )


def create_document_scorer(loaded: "LoadedModel") -> "DocumentScorer":
    """Create a scorer. On a CPU this changes the model, as `create_text_generator` does."""
    from nmt_cli.commands.translators import prepare_for_inference
    from nmt_cli.decoding.scoring.documents import DocumentScorer

    precision = prepare_for_inference(loaded)
    return DocumentScorer(loaded.model, loaded.tokenizer, loaded.config.longest_sentence, loaded.device, precision)
