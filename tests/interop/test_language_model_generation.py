"""Exported language models generate text with the settings of `decoding`, as nmt does."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from exported_models import run_example_here
from foreign_models import LINES
from test_language_model_export import GPT2, WINDOW, new, not_continued

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.decoding.text_generator import TextGenerator
from nmt_cli.interop.exporting import language_models
from nmt_cli.interop.exporting.language_models import export
from nmt_cli.interop.exporting.model import ExportedModel
from nmt_cli.recipe.decoding import BeamSettings, MbrSettings, SamplingSettings, StepwiseSettings

PROMPTS = [line[: 3 + 7 * i % 31] for i, line in enumerate(LINES[:12])]
BEAM = {"beam_size": 4, "early_stopping": True}
NO_REPEAT = {"beam_size": 1, "min_length": 9, "no_repeat_ngram_size": 2}
ONLY_BEST = {"strategy": "sampling", "top_k": 1, "temperature": 0.5, "min_length": 5}
SEARCHES: dict[str, tuple[str, dict[str, Any]]] = {
    "ctranslate2-beam": ("ctranslate2", BEAM),
    "ctranslate2-length": ("ctranslate2", {**BEAM, "length_penalty": 0.1}),
    "ctranslate2-greedy": ("ctranslate2", NO_REPEAT),
    "ctranslate2-sampling": ("ctranslate2", {**ONLY_BEST, "no_repeat_ngram_size": 2}),
    "ctranslate2-top-p": ("ctranslate2", {"strategy": "sampling", "top_p": 0.01}),
    "huggingface-beam": ("huggingface", BEAM),
    "huggingface-length": ("huggingface", {**BEAM, "length_penalty": 0.1}),
    "huggingface-sampling": ("huggingface", ONLY_BEST),
    "huggingface-min-p": ("huggingface", {"strategy": "sampling", "min_p": 1.0}),
    "huggingface-epsilon": ("huggingface", {"strategy": "sampling", "epsilon": 0.99}),
}


def settings(given: dict[str, Any]) -> StepwiseSettings:
    classes: dict[str, type[StepwiseSettings]] = {"sampling": SamplingSettings, "mbr": MbrSettings}
    return classes.get(given.get("strategy", "beam"), BeamSettings).model_validate({"max_length": 12, **given})


def generating(given: dict[str, Any], tokenizer: Tokenizer) -> ExportedModel:
    """A model that prefers a few tokens by far, and seldom bytes, of which random runs are decoded differently."""
    each, decoding = new(GPT2, tokenizer), settings(given)
    vectors = each.model.get_parameter("embeddings.target.weight")
    with torch.no_grad():
        vectors *= 5
        vectors[tokenizer.special_tokens.eos] *= 1.5
        vectors[list(tokenizer.target.byte_values())] = 0
    return replace(each, decoding=decoding.beam(1, 1), generation=decoding)


@pytest.fixture(autouse=True)
def without_verification(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language_models, "run_example", lambda folder, prompts, call: [""] * len(prompts))


@pytest.mark.slow
@pytest.mark.parametrize(("to", "given"), SEARCHES.values(), ids=SEARCHES)
def test_example_generates_with_the_settings_of_decoding(
    to: str, given: dict[str, Any], document_tokenizer: Tokenizer, tmp_path: Path
) -> None:
    pytest.importorskip("ctranslate2" if to == "ctranslate2" else "transformers")
    pytest.importorskip("tokenizers")
    each = generating(given, document_tokenizer)
    export(each, to, tmp_path, LINES[:6], not_continued)

    found = run_example_here(tmp_path, PROMPTS, "generate({})")

    generator = TextGenerator(
        each.model, each.tokenizer, settings(given), torch.device("cpu"), WINDOW, suppress_tokens=(0, 1, 2)
    )
    expected = [generator.generate(prompt)[0].text for prompt in PROMPTS]
    assert found == expected
    assert len(set(expected)) > 6


def test_generation_config_has_the_settings_of_beam_search(document_tokenizer: Tokenizer, tmp_path: Path) -> None:
    given = {"beam_size": 3, "early_stopping": "never", "length_penalty": 0.5, "min_length": 2}
    export(
        generating({**given, "no_repeat_ngram_size": 4}, document_tokenizer),
        "huggingface", tmp_path, LINES[:6], not_continued,
    )  # fmt: skip
    found = json.loads((tmp_path / "generation_config.json").read_bytes())
    expected = {
        "do_sample": False, "num_beams": 3, "early_stopping": "never", "length_penalty": 0.5, "min_new_tokens": 2,
        "max_new_tokens": 12, "no_repeat_ngram_size": 4,
    }  # fmt: skip
    assert expected.items() <= found.items()


@pytest.mark.parametrize(
    ("to", "given", "unsupported"),
    [
        ("ctranslate2", {"strategy": "sampling", "min_p": 0.1, "epsilon": 0.01}, ["min_p: 0.1", "epsilon: 0.01"]),
        ("ctranslate2", {"beam_size": 4}, ["early_stopping: False"]),
        ("ctranslate2", {**BEAM, "num_beam_groups": 2}, ["num_beam_groups: 2"]),
        ("huggingface", {**BEAM, "num_beam_groups": 2}, ["num_beam_groups: 2"]),
        ("huggingface", {"strategy": "mbr", "top_k": 9}, ["strategy: mbr"]),
        ("ctranslate2", {**BEAM, "min_length": 3, "no_repeat_ngram_size": 2, "length_penalty": 0.1}, []),
        ("huggingface", {"strategy": "sampling", "min_p": 0.1, "epsilon": 0.01, "seed": 4}, []),
    ],
)
def test_settings_that_a_program_lacks_are_named(
    to: str,
    given: dict[str, Any],
    unsupported: list[str],
    document_tokenizer: Tokenizer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("tokenizers")
    if to == "ctranslate2":
        pytest.importorskip("ctranslate2")
    export(generating(given, document_tokenizer), to, tmp_path, LINES[:6], not_continued)
    card, warning = (tmp_path / "README.md").read_text("utf-8"), capsys.readouterr().err
    for name in unsupported:
        assert f"`decoding.{name}`" in card
        assert f"decoding.{name}" in warning
    if not unsupported:
        assert "does not have" not in card + warning
