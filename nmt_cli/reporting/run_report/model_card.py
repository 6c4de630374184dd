"""The model card of a published model: README.md beside its parameters."""

from collections.abc import Mapping
from typing import Any

from nmt_cli import __version__
from nmt_cli.data.prepared import Prepared
from nmt_cli.recipe.schema import Recipe
from nmt_cli.reporting.rendering import METRIC_NAMES, format_score, render_markdown
from nmt_cli.runs.journal import describe_published


def model_card(
    recipe: Recipe,
    prepared: Prepared,
    num_parameters: int,
    num_updates: int,
    epochs: float,
    published: Mapping[str, Any],
) -> str:
    """Return the card as Markdown, with the front matter of Hugging Face's hub.

    Args:
        published: The checkpoints that the parameters are from, as `describe_published` reads it.
    """
    data, score = recipe.data, published["average" if published["updates"][1:] else "best_checkpoint"]
    corpora = [(corpus.name, len(corpus), corpus.target_tokens) for corpus in prepared.train]
    return render_markdown(
        "model_card.md.j2",
        version=__version__,
        languages=list(dict.fromkeys((data.source_language, data.target_language))),
        architecture=recipe.model.architecture,
        parameters=num_parameters,
        corpora=corpora,
        data=prepared.fingerprint[:12],
        updates=num_updates,
        epochs=epochs,
        start_from=recipe.training.start_from and str(recipe.training.start_from),
        weights=describe_published({**published, "average": None}),
        score=None if score is None else f"{METRIC_NAMES[published['metric']]} {format_score(score)}",
        valid=list(data.valid),
        licence=recipe.licence,
        is_language_model=data.is_monolingual,
        unit=data.unit,
    )
