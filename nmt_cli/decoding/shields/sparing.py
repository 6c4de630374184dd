"""Sentences searched for without what the model always loses, which is put in by word alignment."""

import re
from collections.abc import Sequence
from dataclasses import replace

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.decoding.batching import Searcher
from nmt_cli.decoding.forced.annotation import Annotator, Said, Wanted
from nmt_cli.decoding.forced.given import as_hypotheses
from nmt_cli.decoding.search.hypotheses import Hypothesis
from nmt_cli.decoding.sentences import Sentence
from nmt_cli.decoding.shields.elements import Hidden
from nmt_cli.decoding.shields.hiding import hide_spans
from nmt_cli.decoding.shields.placing import put_back
from nmt_cli.errors import ModelError
from nmt_cli.recipe.decoding import SearchSettings


class Sparing:
    """Searches as the settings say."""

    def __init__(self, searcher: Searcher, tokenizer: Tokenizer, settings: SearchSettings) -> None:
        self._searcher, self._tokenizer, self._settings = searcher, tokenizer, settings

    def __call__(
        self, sentences: Sequence[Sentence], sources: Sequence[str], lost: Sequence[Sequence[str]]
    ) -> list[list[Hypothesis]]:
        """The best translation of each sentence, given as text too, that holds what was lost of it.

        What it scores is what the model thinks of the whole. None, if all of the sentence was lost, if the model has no
        attention, or if it knows factors, which are those of whole words.
        """
        if self._tokenizer.factors.names:
            return [[] for _ in sentences]
        hidden = [
            hide_spans(Hidden(source), re.compile("|".join(map(re.escape, sorted(each, key=len, reverse=True)))))
            for source, each in zip(sources, lost, strict=True)
        ]
        rows = self._tokenizer.encode_source([each.text for each in hidden])
        asked = [place for place, row in enumerate(rows) if row]
        spared = [replace(sentences[place], tokens=rows[place]) for place in asked]
        best = [found[0].tokens for found in self._searcher.search(spared, self._settings)]
        texts = self._tokenizer.decode_target([list(tokens) for tokens in best])
        annotator = Annotator(self._searcher, self._tokenizer, self._settings.batch_tokens, Wanted(True, False))
        try:
            known = annotator.annotate(
                [
                    Said(hidden[place].text, sentence, text, tokens)
                    for place, sentence, text, tokens in zip(asked, spared, texts, best, strict=True)
                ]
            )
        except ModelError:  # no attention
            return [[] for _ in sentences]
        whole = [
            put_back(hidden[place], text, annotation.alignment or (), str)
            for place, text, annotation in zip(asked, texts, known, strict=True)
        ]
        given = as_hypotheses(
            self._searcher, self._tokenizer, self._settings, [sentences[place] for place in asked], whole
        )
        said = dict(zip(asked, given, strict=True))
        return [[said[place]] if place in said else [] for place in range(len(sentences))]
