"""Translation and scoring of validation sets during training."""

from collections.abc import Mapping, Sequence

import torch

from nmt_cli.commands.loading import config_of
from nmt_cli.commands.translators import source_tags
from nmt_cli.console import Reporter
from nmt_cli.data.prepared import Prepared
from nmt_cli.data.reading import read_all
from nmt_cli.decoding.requests import DEFAULT_OPTIONS, Request, TranslateOptions, in_documents, plain_requests
from nmt_cli.decoding.translator import InferenceConfig, Translator
from nmt_cli.evaluation.metrics import build_metrics, compute_statistics
from nmt_cli.evaluation.metrics.metric import EvaluationTexts, Metric
from nmt_cli.evaluation.target_language import default_metrics, for_language
from nmt_cli.models.contract import Model
from nmt_cli.recipe.schema import Recipe
from nmt_cli.training.validation import ValidationDecoder


def validation_decoder(
    recipe: Recipe, prepared: Prepared, device: torch.device, reporter: Reporter
) -> ValidationDecoder:
    """Translate and score validation sets like `nmt evaluate`, from the raw text, but without repair.

    A terminal shows the progress of each translation.

    Text without translations has no scores but those of its loss.
    """
    if recipe.data.is_monolingual:
        return ValidationDecoder(dict.fromkeys(recipe.data.valid, ()), lambda model, lines: [], lambda *_: {})
    data, tokenizer = recipe.data, prepared.tokenizer
    count = 0 if data.context is None else data.context.sentences
    references, sources = {}, {}
    for name, each in data.valid.items():
        languages = data.languages_of(each)
        examples = read_all(each, languages, data.on_error)
        requests = plain_requests(examples.sources, examples.source_columns, each.target_language)
        references[name] = [examples.targets]
        sources[name] = [(languages, request) for request in in_documents(requests, count)]
    metrics = {name: _metrics(recipe, data.languages_of(each)[1]) for name, each in data.valid.items()}

    config, has_tokens = config_of(recipe, tokenizer), data.sequence.language_tokens

    def translate(model: Model, inputs: Sequence[tuple[tuple[str, str], Request]]) -> list[str]:
        if not inputs:
            return []
        (source, target), _ = inputs[0]  # all inputs are of one set
        options = TranslateOptions(source_language=source, target_language=target) if has_tokens else DEFAULT_OPTIONS
        tags = source_tags(config, tokenizer, options, recipe.decoding.length)
        inference = InferenceConfig(
            max_tokens=data.max_length, context=data.context, tags=tags, source_eos=config.source_eos
        )
        evaluation = for_language(recipe.evaluation, data.target_language)
        translator = Translator(model, tokenizer, recipe.decoding, device, inference, evaluation=evaluation)
        requests = [request for _, request in inputs]
        bar = reporter.progress_bar("validating", "lines", len(requests), style="brief")
        with bar:
            return [translation.best.text for translation in translator.translate(requests, bar.advance)]

    def scores(name: str, hypotheses: list[str]) -> Mapping[str, float]:
        texts = EvaluationTexts(hypotheses, references[name])
        return {each.metric.key: each.value for each in compute_statistics(texts, metrics[name])}

    return ValidationDecoder(sources, translate, scores)


def _metrics(recipe: Recipe, language: str) -> list[Metric]:
    """Return the default metrics of a target language and the one that decides."""
    names = dict.fromkeys([*default_metrics(language), recipe.training.validation.metric])
    metrics = [name for name in names if name != "loss"]
    settings = recipe.evaluation.model_copy(update={"metrics": metrics, "comet": None, "external": {}})
    return build_metrics(for_language(settings, language))
