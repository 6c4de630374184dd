"""Attention maps of translated lines, by teacher forcing."""

from collections.abc import Iterable
from dataclasses import dataclass

from nmt_cli.commands.loading import LoadedModel, load_model
from nmt_cli.commands.translators import open_translator, source_tags
from nmt_cli.data.tokenizing.tags import SourceTags
from nmt_cli.decoding.generator import Generator
from nmt_cli.decoding.requests import Request, TranslateOptions
from nmt_cli.decoding.scoring import score_targets
from nmt_cli.decoding.sentences import SentenceInput, with_copies
from nmt_cli.errors import DataError, RecipeError
from nmt_cli.models.attention.recording import AttentionKind, recorded_attention
from nmt_cli.models.contract import ModelInputs
from nmt_cli.recipe.model import CtcSettings
from nmt_cli.reporting.plots.attention import AttentionHeads
from nmt_cli.reporting.plots.figures import AttentionMap
from nmt_cli.text.lines import argument_text

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
        loaded.config,
        loaded.tokenizer,
        TranslateOptions(target_language=target_language if has_tokens else None),
        loaded.decoding.length,
    )
    maps = (_map(loaded, tags, target_language, *line) for line in lines)
    return [found for found in maps if found is not None]


def attention_heads(
    text: str, translation: str | None, kind: AttentionKind, options: TranslateOptions
) -> AttentionHeads:
    """Return the attention of each layer and head for a line, by teacher forcing.

    Args:
        translation: None to translate the line with the model.
        options: Of one model.

    Raises:
        DataError: The line is blank, or either side is not UTF-8 or has more subwords than can be drawn.
        RecipeError: The model has no such attention, or needs source factors or context.
    """
    argument_text(text, "the line")
    argument_text(translation or "", "the translation")
    [path] = options.models
    loaded = load_model(path, options.overrides, options.adapter)
    encoder = getattr(loaded.config.model, "encoder", None)
    if kind == "encoder" and encoder is not None and encoder.type != "flat":
        raise RecipeError(
            f"{path}: has no encoder attention to draw, as model.encoder is {encoder.type}; use --kind cross"
        )
    if kind != "encoder" and isinstance(loaded.config.model, CtcSettings):
        raise RecipeError(
            f"{path}: has no {kind} attention to draw, as a CTC model predicts all tokens at once; use --kind encoder"
        )
    if loaded.tokenizer.factors.names or loaded.config.context is not None:
        raise RecipeError(f"{path}: attention of models with source factors or context is not supported")
    if not text.strip():
        raise DataError("the line is blank")
    if translation is None:
        [translated] = open_translator(options).translate_window([Request(text)])
        translation = translated.best.text
    tags = source_tags(loaded.config, loaded.tokenizer, options, loaded.decoding.length)
    line = _ForcedLine.encode(loaded, tags, options.target_language, text, translation)
    if line.size > MAX_SUBWORDS:
        raise DataError(f"the line or its translation has {line.size} subwords, more than the {MAX_SUBWORDS} drawn")
    with recorded_attention(loaded.model, kind) as recorded:
        (scores,) = score_targets(loaded.model, line.inputs, [line.targets], attention=True)
    weights = [layer[0].float().cpu() for layer in recorded]
    if not weights and kind == "cross" and scores.cross_attention is not None:  # of an RNN
        weights = [scores.cross_attention.unsqueeze(0)]
    if not weights:
        raise RecipeError(f"{path}: has no {kind} attention")
    pieces = {"source": line.source_pieces, "input": line.input_pieces, "output": line.output_pieces}
    rows, columns = {"cross": ("output", "source"), "encoder": ("source", "source"), "decoder": ("input", "input")}[
        kind
    ]
    return AttentionHeads(text, translation, pieces[columns], pieces[rows], [layer.tolist() for layer in weights])


@dataclass(frozen=True)
class _ForcedLine:
    """A line and its translation as a model reads them by teacher forcing."""

    inputs: ModelInputs
    targets: list[int]
    """Without eos."""
    source_pieces: list[str]
    input_pieces: list[str]
    """Of the decoder's input: the start or the prompt, then the translation."""
    output_pieces: list[str]
    """Of what the decoder predicts at each position."""

    @property
    def size(self) -> int:
        """Subwords of the longer side."""
        return max(len(self.source_pieces), len(self.output_pieces))

    @staticmethod
    def encode(
        loaded: LoadedModel, tags: SourceTags, language: str | None, source: str, translation: str
    ) -> "_ForcedLine":
        tokenizer, special = loaded.tokenizer, loaded.model.vocabulary.special_tokens
        (tokens,), (targets,) = tokenizer.encode_source([source]), tokenizer.encode_target([translation], oov=True)
        prompt = tags.prompt(language)
        sentence = SentenceInput(1, tokens, tags=tags.ids(language), prompt=prompt, suffix=tags.suffix)
        (sentence,) = with_copies(tokenizer, [sentence], [source])
        generator, start = Generator(loaded.model, (), loaded.device), prompt or (special.decoder_start,)
        source_text, target_text = tokenizer.source.text_of, tokenizer.target.text_of
        around = [list(map(source_text, ids)) for ids in (sentence.tags, (special.eos, *sentence.suffix))]
        source_pieces = tokenizer.source.encode_as_text([tokenizer.normalize(source)])[0]
        of_input, of_output = (
            list(map(target_text, ids)) for ids in ((*start, *targets), (*start[1:], *targets, special.eos))
        )
        return _ForcedLine(
            generator.model_inputs([sentence]),
            list(generator.to_extended_ids(sentence, targets)),
            [*around[0], *source_pieces, *around[1]],
            of_input,
            of_output,
        )


def _map(
    loaded: LoadedModel, tags: SourceTags, language: str | None, number: int, source: str, translation: str
) -> AttentionMap | None:
    line = _ForcedLine.encode(loaded, tags, language, source, translation)
    if line.size > MAX_SUBWORDS:
        return None
    (scores,) = score_targets(loaded.model, line.inputs, [line.targets], attention=True)
    if scores.cross_attention is None:
        return None
    target_pieces, weights = line.output_pieces[-len(line.targets) - 1 :], scores.cross_attention.tolist()
    return AttentionMap(number, line.source_pieces, target_pieces, weights, scores.copy_probabilities)
