"""MBR decoding, compared with sacreBLEU on all pairs of candidates."""

import math

import pytest
import torch
from fake_models import CharacterTokenizer, GruModel, requests
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from nmt_cli.decoding.results import TranslatedText
from nmt_cli.decoding.search.strategies import MbrStrategy
from nmt_cli.decoding.sentences import SentenceInput
from nmt_cli.decoding.translator import Translator
from nmt_cli.recipe.decoding import BeamSettings, Evaluation, MbrSettings, SamplingSettings

LINES = ["abc", "dd", "ebbc"]
METRICS = {"chrf": CHRF(), "bleu": BLEU(effective_order=True)}


@pytest.mark.parametrize("utility", ["chrf", "bleu"])
@pytest.mark.parametrize("candidates_from", ["sampling", "beam"])
def test_mbr_matches_sacrebleu_on_all_pairs(utility: str, candidates_from: str) -> None:
    settings = MbrSettings(
        strategy="mbr", utility=utility, num_candidates=9, candidates_from=candidates_from, n_best=3, check=False
    )
    tokenizer, model = CharacterTokenizer(), GruModel(9, seed=4, end_bias=2.0)
    tokenizer.encode_source(["abcde"])
    cpu = torch.device("cpu")
    translator = Translator(model, tokenizer, settings, cpu, evaluation=Evaluation())
    rows = [SentenceInput(line, row) for line, row in enumerate(tokenizer.encode_source(LINES), 1)]
    among = translator.generator.search(rows, MbrStrategy(settings).candidates)

    for translation, candidates in zip(translator.translate(requests(LINES)), among, strict=True):
        texts = tokenizer.decode_target([list(one.tokens) for one in candidates])
        each = [TranslatedText(text, one.log_probability, 0) for text, one in zip(texts, candidates, strict=True)]
        assert len(each) == 9
        mass = [1.0 if candidates_from == "sampling" else math.exp(one.log_probability) for one in each]
        expected = {
            one.text: sum(
                weight * METRICS[utility].sentence_score(one.text, [other.text]).score
                for other, weight in zip(each, mass, strict=True)
            )
            / sum(mass)
            for one in each
        }
        best = sorted(expected.values(), reverse=True)[:3]
        assert [found.score for found in translation.hypotheses] == pytest.approx(best)
        for found in translation.hypotheses:
            assert found.score == pytest.approx(expected[found.text])
            assert found.log_probability in {one.log_probability for one in each if one.text == found.text}


def test_mbr_candidate_search_keeps_other_settings() -> None:
    sampled = MbrSettings(strategy="mbr", epsilon=0.02, n_best=3, num_candidates=64, max_length=50)
    beam = MbrSettings(strategy="mbr", candidates_from="beam", length_penalty=0.5)

    expected = SamplingSettings(strategy="sampling", epsilon=0.02, n_best=64, max_length=50)
    assert MbrStrategy(sampled).candidates.settings == expected
    assert MbrStrategy(beam).candidates.settings == BeamSettings(beam_size=32, n_best=32, length_penalty=0.5)
