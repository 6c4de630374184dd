"""The rules of one batch: those that settings ask for, and those for what is wished of some of its sentences."""

from collections.abc import Sequence

from torch import Tensor

from nmt_cli.decoding.rules.always import Forbid, MinimumLength, NoRepeats
from nmt_cli.decoding.rules.favoured import Favoured
from nmt_cli.decoding.rules.forbidden import Forbidden
from nmt_cli.decoding.rules.prefix import Opening, Prefix
from nmt_cli.decoding.rules.required import Required
from nmt_cli.decoding.rules.rule import Rule
from nmt_cli.decoding.sentences import Sentence
from nmt_cli.recipe.decoding import BeamSettings, SearchSettings


def rules_of(
    sentences: Sequence[Sentence],
    settings: SearchSettings,
    never: Sequence[int],
    end: int,
    longest: Tensor,
    continues: Tensor | None = None,
) -> list[Rule]:
    """In the order in which they are asked. longest [B] is how many tokens translations may have, the end apart;
    continues [V] which tokens continue a word.
    """
    wishes, device = [sentence.wishes for sentence in sentences], longest.device
    rules: list[Rule] = [Forbid(never), MinimumLength(settings.min_length, end)]
    if settings.no_repeat_ngram is not None:
        rules.append(NoRepeats(settings.no_repeat_ngram))
    if any(each.forbidden for each in wishes):
        has_rivals = isinstance(settings, BeamSettings) and settings.beam_size > settings.groups == 1
        rules.append(Forbidden(wishes, continues, has_rivals, device))
    if any(each.openings for each in wishes):
        rules.append(Opening(wishes, device))
    if any(each.prefix for each in wishes):
        rules = [Prefix([each.prefix for each in wishes], rules, device)]
    if any(each.required for each in wishes):
        rules.append(Required(wishes, longest, end, continues, device))
    if any(each.favoured for each in wishes):
        rules.append(Favoured(wishes, continues, device))
    return rules
