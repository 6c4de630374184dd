"""The sections `training.mixing`, `training.augmentation` and `training.subword_sampling`."""

from typing import Annotated

from pydantic import Field

from nmt_cli.recipe.section import Conflicts, Name, Positive, Section

Probability = Annotated[float, Field(ge=0, le=1)]


class Stage(Section):
    """A part of training with proportions of its own."""

    weights: Annotated[dict[Name, Positive], Field(min_length=1)]
    """Proportions of the corpora, such as `{backtranslated: 7, clean: 3}`; corpora not named are not used."""
    epochs: dict[Name, Positive] = {}
    """The stage ends after so many passes over one corpus, such as `{backtranslated: 2}`. The last stage never ends."""

    def conflicts(self) -> Conflicts:
        if len(self.epochs) > 1:
            yield "epochs", "must name one corpus"
        for name in self.epochs.keys() - self.weights.keys():
            yield ("epochs", name), "has no weight in this stage"


class Mixing(Section):
    """How training corpora are mixed: by their weights, by a temperature, or in stages."""

    temperature: Annotated[float, Field(ge=1)] = 1.0
    """Above 1, small corpora are sampled more often: proportions are sizes to the power of 1/temperature. An epoch has
    each pair of the largest corpus once."""
    stages: list[Stage] = []
    """Successive stages. They replace the weights of the corpora; temperature must be 1."""

    def conflicts(self) -> Conflicts:
        for number, stage in enumerate(self.stages, 1):
            if bool(stage.epochs) == (number == len(self.stages)):
                problem = "the last stage never ends" if stage.epochs else "is missing; every stage but the last ends"
                yield ("stages", number - 1, "epochs"), problem
        if self.stages and self.temperature != 1:
            yield "temperature", "cannot be combined with stages, which set the proportions themselves"


class Augmentation(Section):
    """Change training pairs at random, differently in each epoch, for robustness to untidy text."""

    upper_case: Probability = 0.0
    """Probability that a pair is written in capitals."""
    title_case: Probability = 0.0
    """Probability that each word of a pair begins with a capital."""
    no_final_punctuation: Probability = 0.0
    """Probability that a pair loses the punctuation at its end."""
    typos: Probability = 0.0
    """Probability that a source gets a typo: a letter inserted, deleted or replaced, or two swapped."""
    noise: Probability = 0.0
    """Probability that a word of a source is deleted, repeated or swapped with the next."""


class SubwordSampling(Section):
    """Split text into subwords at random, differently in each epoch: unigram (Kudo 2018) or BPE-dropout
    (Provilkov et al. 2020)."""

    alpha: Annotated[float, Field(gt=0, le=1)]
    """bpe: fraction of merges left out (0.1 is common); unigram: exponent of a segmentation's probability, smaller is
    more random (0.3 is common)."""
    source: bool = True
    """Sample the sources."""
    target: bool = True
    """Sample the targets."""

    def conflicts(self) -> Conflicts:
        if not (self.source or self.target):
            yield (), "must sample source or target; leave the section out to sample neither"
