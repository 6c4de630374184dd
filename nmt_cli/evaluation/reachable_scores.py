"""The highest scores that a normalisation of the target text allows."""

from nmt_cli.data.arrays import evenly_spaced
from nmt_cli.data.checking import DataFinding, percentage
from nmt_cli.data.checking.sampling import CorpusSample
from nmt_cli.evaluation.metrics import score
from nmt_cli.evaluation.target_language import for_language
from nmt_cli.recipe.evaluation import Evaluation
from nmt_cli.text.normalization import normalize_lines

_MAX_LINES = 2000
_MIN_SCORE = 99.9
"""A perfect system may lose a tenth of a point."""


def check_normalization(corpus: CorpusSample, normalization: str, settings: Evaluation) -> list[DataFinding]:
    """Report a validation or test set with references that normalisation changes.

    Translations consist of normalised text, so none can equal such a reference.
    """
    references = evenly_spaced(corpus.sides["target"], _MAX_LINES)
    normalized = normalize_lines(normalization, references)
    num_changed = sum(one != other for one, other in zip(references, normalized, strict=True))
    if not num_changed:
        return []
    settings = settings.model_copy(update={"metrics": None, "comet": None, "external": {}})
    scores = score(normalized, [references], for_language(settings, corpus.languages[1]))
    highest = " and ".join(f"{each.name} {each.value:.2f}" for each in scores)
    message = (
        f"{normalization} changes {percentage(num_changed, len(references))} of the references;"
        f" the highest possible scores are {highest}"
    )
    if min(each.value for each in scores) >= _MIN_SCORE:
        return [DataFinding("fact", "normalization", corpus.name, message)]
    advice = "use tokenizer.normalization whitespace, which changes nothing visible"
    return [DataFinding("warning", "normalization", corpus.name, message, advice)]
