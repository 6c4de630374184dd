"""Exported models translate and score in CTranslate2 as in nmt."""

import io
import re
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from exported_models import export, exported, translations
from foreign_models import LINES
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer
from torch import Tensor
from torch.testing import assert_close

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.segmenters import BpeSegmenter
from nmt_cli.data.tokenizing.vocabulary import Vocabulary
from nmt_cli.decoding.logits_processors.building import BatchConstraints
from nmt_cli.decoding.search.strategies import BeamStrategy
from nmt_cli.decoding.sentences import SentenceInput
from nmt_cli.errors import ModelError, ResourceError
from nmt_cli.interop import exporting
from nmt_cli.interop.exporting.ctranslate2 import CTranslate2Program, write
from nmt_cli.interop.exporting.model_card import write_model_card
from nmt_cli.interop.exporting.sentencepiece_files import token_names
from nmt_cli.interop.exporting.verification import run_example, verify
from nmt_cli.models import build
from nmt_cli.models.contract import DecoderInput, Model, ModelInputs, VocabularySpec
from nmt_cli.models.kernels import Backend
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.recipe.decoding import BeamSettings
from nmt_cli.recipe.model import RnnSettings, TransformerSettings
from nmt_cli.text.normalization import NORMALIZATIONS

inputs = ModelInputs.from_ids

ODD_LINES = (
    "\u200bba\u200bdan",
    "\ufeffba dan",
    "\x01ba\x01dan",
    "▁ba▁dan",
    " ba  dan ",
    "ba\xa0dan\u3000",
    "e\u0301 ﬁ",
    "",
)
ALL = {
    f"{place}-{norm}-{positions}-{shared}-{activation}-{tying}": {
        "norm": {"position": place, "type": norm},
        "positions": {"type": positions},
        "key_value_heads": shared,
        "activation": activation,
        "tied_embeddings": tying,
    }
    for (place, norm, positions), (shared, activation, tying) in product(
        product(("pre", "post"), ("layer", "rms"), ("sinusoidal", "rotary")),
        ((None, "relu", "all"), (2, "swiglu", "decoder"), (1, "gelu", "none")),
    )
}

ALL |= {
    "marian": {
        "norm": {"position": "post", "epsilon": 1e-3},
        "positions": {"spacing": "t2t", "offset": 2},
        "activation": "silu",
        "output_bias": True,
    },
    "bart": {
        "norm": {"position": "post", "embeddings": True},
        "positions": {"type": "learned", "length": 40},
        "activation": "gelu_tanh",
        "scale_embeddings": False,
    },
    "t5": {
        "norm": {"type": "rms"},
        "positions": {"type": "relative", "buckets": 8, "max_distance": 12},
        "activation": "geglu_tanh",
        "bias": False,
        "scale_embeddings": False,
        "scale_attention": False,
        "tied_embeddings": "input",
        "output_bias": False,
    },
    "umt5": {
        "positions": {"type": "relative", "buckets": 8, "max_distance": 12, "each_layer": True},
        "activation": "geglu",
        "head_width": 12,
        "key_value_heads": 2,
    },
}


def transformer(**changes: object) -> TransformerSettings:
    sizes = {"width": 32, "feed_forward": 48, "encoder_layers": 2, "decoder_layers": 3, "heads": 4}
    return TransformerSettings.model_validate({"architecture": "transformer", **sizes, **changes})


def decided(settings: TransformerSettings, tokenizer: Tokenizer) -> Model:
    """A random model whose norms and biases matter, and whose words are seldom equally good."""
    torch.manual_seed(1)
    size = tokenizer.source_size
    model = build(settings, VocabularySpec(size, size)).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.startswith("embeddings"):
                weight.mul_(0.5)  # what layers add counts for more, so that words are less often repeated
            else:
                weight.add_(torch.randn_like(weight), alpha=0.2)
    return model


def rows(tokenizer: Tokenizer) -> list[list[int]]:
    """Sources of several lengths."""
    generator = torch.Generator().manual_seed(2)
    return [
        torch.randint(4, tokenizer.source_size, (length,), generator=generator).tolist()
        for length in (1, 3, 3, 5, 8, 8, 13, 2)
    ]


def padded(rows: Sequence[Sequence[int]], end: int) -> Tensor:
    longest = max(map(len, rows)) + 1
    return torch.tensor([[*row, *[end] * (longest - len(row))] for row in rows])


class Endless:
    """A model that never ends: CTranslate2, too, takes the end out before it computes probabilities."""

    def __init__(self, model: Model) -> None:
        self.vocabulary, self._step = model.vocabulary, model.step
        self.encode, self.init_cache = model.encode, model.init_cache

    def step(self, ids: Tensor, cache: Any) -> tuple[Tensor, Any]:
        logits, cache = self._step(ids, cache)
        logits[..., self.vocabulary.special_tokens.eos] = -torch.inf
        return logits, cache


def ours(model: Model, sources: list[list[int]], beam: int) -> list[tuple[int, ...]]:
    """The best translations of ten tokens."""
    source = inputs(
        padded(sources, model.vocabulary.special_tokens.eos), torch.tensor([len(row) + 1 for row in sources])
    )
    settings = BeamSettings(beam_size=beam, max_length=10)
    sentences = [SentenceInput(line, row) for line, row in enumerate(sources)]
    found = BeamStrategy(settings).search(Endless(model), source, BatchConstraints(sentences))  # type: ignore[arg-type]
    return [hypotheses[0].tokens for hypotheses in found]


@torch.inference_mode()
def scored(model: Model, sources: list[list[int]], targets: list[tuple[int, ...]]) -> list[list[float]]:
    """Log-probabilities of the words of each target, and of its end."""
    start, end = model.vocabulary.special_tokens.decoder_start, model.vocabulary.special_tokens.eos
    found = []
    for source, target in zip(sources, targets, strict=True):
        decoded = model.decode(
            model.encode(inputs(padded([source], end))), DecoderInput(torch.tensor([[start, *target]]))
        )
        log_probabilities = model.logits(decoded).log_softmax(-1)
        found.append(log_probabilities[range(len(target) + 1), [*target, end]].tolist())
    return found


def theirs(folder: Path, tokenizer: Tokenizer) -> "Theirs":
    ctranslate2 = pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed")
    return Theirs(ctranslate2.Translator(str(folder), compute_type="float32", intra_threads=1), tokenizer)


class Theirs:
    """CTranslate2, asked in tokens."""

    def __init__(self, translator: Any, tokenizer: Tokenizer) -> None:
        self.translator, self.names = translator, token_names(tokenizer)[0]
        self.numbers = {name: number for number, name in enumerate(self.names)}

    def search(self, sources: list[list[int]], beam: int) -> list[tuple[int, ...]]:
        """The best translations of ten tokens."""
        found = self.translator.translate_batch(
            self._named(sources), beam_size=beam, min_decoding_length=10, max_decoding_length=10
        )
        return [tuple(self.numbers[name] for name in translation.hypotheses[0]) for translation in found]

    def score(self, sources: list[list[int]], targets: list[tuple[int, ...]]) -> list[list[float]]:
        """Log-probabilities of the words of each target, and of its end."""
        return [each.log_probs for each in self.translator.score_batch(self._named(sources), self._named(targets))]

    def _named(self, rows: Sequence[Sequence[int]]) -> list[list[str]]:
        return [[self.names[token] for token in row] for row in rows]


@pytest.mark.parametrize("changes", ALL.values(), ids=ALL.keys())
def test_export_translates_and_scores_like_the_model(
    changes: dict[str, object], tokenizer: Tokenizer, tmp_path: Path
) -> None:
    pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed")
    settings, sources = transformer(**changes), rows(tokenizer)
    model = decided(settings, tokenizer)

    write(exported(model, tokenizer), tmp_path)

    there = theirs(tmp_path, tokenizer)
    for beam in (1, 5):
        expected = ours(model, sources, beam)
        assert there.search(sources, beam) == expected
        assert_close(there.score(sources, expected), scored(model, sources, expected), atol=1e-4, rtol=0)


def test_export_of_an_rnn_raises(tokenizer: Tokenizer, tmp_path: Path) -> None:
    settings = RnnSettings.model_validate({"architecture": "rnn", "preset": "tiny"})

    with pytest.raises(ModelError, match=r"model\.architecture"):
        write(exported(build(settings, VocabularySpec(9, 9)), tokenizer), tmp_path)


def test_export_without_ctranslate2_raises(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ctranslate2", None)

    with pytest.raises(ResourceError, match=r"'nmt-cli\[ctranslate2\]'"):
        write(exported(build(transformer(), VocabularySpec(9, 9)), tokenizer), tmp_path)


def test_export_renames_tags_that_look_like_pieces(tmp_path: Path) -> None:
    pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed")
    settings = TokenizerSettings.model_validate({"vocabulary_size": 340, "symbols": ["<2de>"]})
    tagged = Tokenizer.train(settings, LINES * 9, LINES, 1, ["2de", "bt", "s", "sep"])
    model = decided(transformer(), tagged)
    sources = [[tagged.tag_id("2de"), *row] for row in tagged.encode_source([*LINES[:3], "a <2de> b"])]

    result = export(exported(model, tagged), "ctranslate2", tmp_path, (LINES[:4], LINES[:4]))

    assert re.search("[34] of 4 translations are equal", result)
    source, target = token_names(tagged)
    assert len(set(source)) == len(source)
    assert source == target
    assert source[tagged.tag_id("2de")] == "<2de>special"
    there = theirs(tmp_path, tagged)
    expected = ours(model, sources, 1)
    assert_close(there.score(sources, expected), scored(model, sources, expected), atol=1e-4, rtol=0)
    guide = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "All tags are {'2de': '<2de>special', 'bt': '<bt>', 's': '<s>special'}" in guide
    assert '[*before, *pieces of the line before, "<sep>", *pieces of the line]' in guide


def test_export_of_a_word_tokenizer_raises(tmp_path: Path) -> None:
    pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed")
    settings = TokenizerSettings.model_validate({"vocabulary_size": 300, "algorithm": "word"})
    tokenizer = Tokenizer.train(settings, LINES, LINES, 1)
    with pytest.raises(ModelError, match=r"^tokenizer\.algorithm: "):
        write(exported(decided(transformer(), tokenizer), tokenizer), tmp_path)


def test_export_with_an_unused_parameter_fails(tokenizer: Tokenizer, tmp_path: Path) -> None:
    pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed")
    model = decided(transformer(), tokenizer)
    model.decoder[0].gate = torch.nn.Linear(2, 2)

    with pytest.raises(ModelError, match=r"decoder\.0\.gate\.bias, decoder\.0\.gate\.weight"):
        write(exported(model, tokenizer), tmp_path)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("tags", [[], ["2de", "2fr"]])
@pytest.mark.parametrize("normalization", list(NORMALIZATIONS))
def test_guide_of_the_export_translates(
    tokenizer: Tokenizer, tmp_path: Path, normalization: str, tags: list[str]
) -> None:
    pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed")
    tokenizer = Tokenizer(normalization, tokenizer.source, tokenizer.target).with_tags(tags)
    model = decided(transformer(), tokenizer)
    each = exported(model, tokenizer)
    lines = [LINES[0], *ODD_LINES]

    write_model_card(each, "ctranslate2", "CTranslate2", write(each, tmp_path), "unverified", tmp_path)

    assert run_example(tmp_path, lines) == translations(each, lines)


def test_export_that_does_not_agree_with_the_tokenizer_fails(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed")
    model = decided(transformer(), tokenizer)
    monkeypatch.setattr(tokenizer, "normalize", str.upper)

    with pytest.raises(ModelError, match=r"'A line to translate\.' is split otherwise"):
        export(exported(model, tokenizer), "ctranslate2", tmp_path)


def test_export_with_other_probabilities_fails(tokenizer: Tokenizer, tmp_path: Path) -> None:
    pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed")
    each = exported(decided(transformer(), tokenizer), tokenizer)
    write(each, tmp_path)
    with torch.no_grad():
        each.model.encoder_norm.bias[0] += 1  # after the export

    with pytest.raises(ModelError, match="log-probability"):
        verify(each, CTranslate2Program(each, tmp_path), "ctranslate2", tmp_path, (LINES, LINES), list)


def test_export_without_held_out_text_is_verified_with_random_lines(tokenizer: Tokenizer, tmp_path: Path) -> None:
    pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed")

    result = export(exported(decided(transformer(), tokenizer), tokenizer), "ctranslate2", tmp_path)

    assert re.fullmatch(
        r"verified with ctranslate2 \S+: tokens of 212 lines are equal, log-probabilities of 60 pairs differ by at most"
        r" \S+e-0[67], (19\d|200) of 200 translations are equal",
        result,
    )
    assert result[1:] in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_export_keeps_pieces_that_look_like_special_tokens(tmp_path: Path) -> None:
    pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed")
    segmenter = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(["</s>", "x</s>x", "</s> x"] * 20),
        model_writer=segmenter,
        model_type="bpe",
        vocab_size=12,
        split_by_unicode_script=False,
        bos_id=-1,
        eos_id=-1,
        minloglevel=3,
    )
    processor = SentencePieceProcessor(model_proto=segmenter.getvalue())
    pieces = [processor.id_to_piece(number) for number in range(1, 12)]
    assert "</s>" in pieces
    vocabulary = Vocabulary(BpeSegmenter(segmenter.getvalue()), ["<pad>", "<unk>", "<s>", "</s>", *pieces])
    odd = Tokenizer("none", vocabulary, vocabulary)
    model = decided(transformer(), odd)
    sources = [odd.encode_source([line])[0] for line in ("x</s>x", "</s> </s>")]

    write(exported(model, odd), tmp_path)

    assert theirs(tmp_path, odd).search(sources, 1) == ours(model, sources, 1)


def test_model_card_counts_the_parameters_before_verification(tokenizer: Tokenizer, tmp_path: Path) -> None:
    each = exported(decided(transformer(), tokenizer), tokenizer)
    expected = sum(weight.numel() for weight in each.model.parameters())

    def translate(lines: list[str]) -> list[str]:
        found = translations(each, lines)
        each.model.prepare_for_inference(Backend("fp32"))
        return found

    exporting.export(each, "ctranslate2", tmp_path, None, translate)
    assert f" {expected:,} parameters in fp32." in (tmp_path / "README.md").read_text(encoding="utf-8")
