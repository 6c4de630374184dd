"""Each error in a recipe is one line that helps."""

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nmt_cli.recipe.evaluation import Evaluation
from nmt_cli.recipe.loading import load_recipe, resolved_yaml
from nmt_cli.recipe.loading.errors import MAX_ISSUES
from nmt_cli.recipe.loading.schema_walk import sections
from nmt_cli.recipe.schema import Recipe

ErrorsOf = Callable[..., list[str]]
Write = Callable[[str | bytes], Path]

NAMES = {"news", "dev", "blind"}
HOMES = {
    name: [
        ".".join(key) for key, others in sections(Recipe).items() if any(name in other.model_fields for other in others)
    ]
    for classes in sections(Recipe).values()
    for section in classes
    for name in section.model_fields
    if name not in Evaluation.model_fields
}


@pytest.mark.parametrize("architecture", ["transformer", "rnn"])
def test_misspelt_key_is_reported_with_line_and_suggestion(
    architecture: str, good: str, write: Write, errors_of: ErrorsOf
) -> None:
    lines = resolved_yaml(load_recipe(write(good.replace("transformer", architecture)))).split("\n")
    tried = 0
    for number, line in enumerate(lines, 1):
        key = re.match(r"[ -]*([a-z_]+):", line)
        if key is None or key[1] in NAMES or (architecture == "rnn" and not 30 < number < 50):
            continue
        misspelt = key[1][: len(key[1]) // 2] + key[1][len(key[1]) // 2 + 1 :]
        found = errors_of("\n".join([*lines[: number - 1], line.replace(key[1], misspelt, 1), *lines[number:]]))
        assert len(found) == 1, found
        assert re.fullmatch(rf"r\.yaml:{number}:\d+: .*{misspelt}: is not a setting; did you mean {key[1]}\?", found[0])
        tried += 1
    assert tried > 10


@pytest.mark.parametrize("name", HOMES)
def test_key_in_wrong_section_is_reported_with_the_right_section(name: str, good: str, errors_of: ErrorsOf) -> None:
    (error,) = errors_of(good + f"evaluation:\n  {name}: 1\n")
    assert error.startswith(f"r.yaml:18:3: evaluation.{name}: belongs under ")
    assert all((home or "the top level") in error for home in HOMES[name])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ('training.batch_tokens="ten"', 'must be an integer, not "ten"'),
        ('training.limits.updates="ten"', 'must be an integer, not "ten"'),
        ("training.batch_tokens=0", "must be at least 1, not 0"),
        ("training.batch_tokens=true", "must be an integer, not true"),
        ("training.batch_tokens=1.5", "must be an integer, not 1.5"),
        ("training.batch_tokens=1e4", "must be an integer, not 1e4; write 10000"),
        ("training.batch_tokens=10_000", 'must be an integer, not "10_000"; write 10000'),
        ("training.batch_tokens=", "must be an integer, not empty"),
        ("training.batch_tokens=[1]", "must be an integer, not a list"),
        (f"training.batch_tokens=1{'0' * 200}", f"must be at most 1000000000000, not 1{'0' * 56}…"),
        ("training.label_smoothing=1", "must be less than 1, not 1"),
        ("training.label_smoothing=-0.5", "must be at least 0, not -0.5"),
        ("training.label_smoothing=.nan", "must be a finite number, not .nan"),
        ("training.label_smoothing=ten", 'must be a number, not "ten"'),
        ("training.optimizer.learning_rate=0", "must be more than 0, not 0"),
        ("training.optimizer.learning_rate=.inf", "must be a finite number, not .inf"),
        ("training.optimizer.betas=[0.9]", "must have at least 2 entries, not 1"),
        ("training.optimizer.betas=0.9", "must be a list, not 0.9"),
        (
            "training.optimizer=adamw",
            "must be a section of settings such as type, learning_rate or weight_decay,"
            ' not "adamw"; write {type: adamw}',
        ),
        ("training.optimizer.momentum=0.5", "is a setting of type sgd or muon, not of adamw"),
        (
            "training.optimizer.type=adm",
            'must be one of adamw, adam, sgd, adafactor, muon, not "adm"; did you mean adam?',
        ),
        ("training.optimizer.type=3", "must be one of adamw, adam, sgd, adafactor, muon, not 3"),
        ("training.freeze=encoder.*", 'must be a list, not "encoder.*"'),
        ("training=", "must be a section of settings such as update_tokens, batch_tokens or precision, not empty"),
        (
            "model.activation=rellu",
            'must be one of relu, gelu, gelu_tanh, silu, swiglu, geglu, geglu_tanh, not "rellu"; did you mean relu?',
        ),
        ("model.width=31", "must be a multiple of 2, not 31"),
        ("model.heads=3", "3 does not divide width (128)"),
        ("model.tied_embeddings=1", "must be one of none, decoder, all, input, not 1"),
        ("tokenizer.joint=yes", 'must be true or false, not "yes"'),
        (
            "data.source_language=a b",
            'must be a code of letters, digits, - and _, such as en, not "a b"',
        ),
        ("format=2", "must be 1, not 2"),
        (
            "licence=cc_by",
            'must be a licence of at most 64 letters, digits, ., + and -, such as cc-by-4.0, not "cc_by"',
        ),
        ("decoding.early_stopping=nevr", 'must be one of true, false, never, not "nevr"; did you mean never?'),
        (
            "training.validation.metric=los",
            "must be one of loss, bleu, spbleu, chrf, chrf++, ter, rouge1, rouge2, rougeL, meteor, exact_match, wer,"
            ' per, not "los"; did you mean loss?',
        ),
        ("data.train=", "must be a section with one entry per name, not empty"),
        ("data.train={}", "must have at least 1 entry, not 0"),
        ("data.train.source=x", 'names an entry, which must be a section with the keys source and target, not "x"'),
        ("run=''", "must be a file name, neither empty nor with a NUL byte"),
        ('run="a\\0b"', "must be a file name, neither empty nor with a NUL byte"),
        ("run=[]", "must be a file name, not a list"),
        (
            "evaluation.bananas=1",
            "is not a setting; the settings here are"
            " metrics, comet, external, bleu_tokenizer, ter_tokenizer, spbleu_tokenizer, resamples, seed, samples",
        ),
        ("evaluation.metrics=[]", "must have at least 1 entry, not 0"),
    ],
)
def test_invalid_value_is_reported_with_the_allowed_values(
    override: str, message: str, good: str, errors_of: ErrorsOf
) -> None:
    key = override.partition("=")[0]
    assert errors_of(good, override) == [f"--set {override}: {key}: {message}"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("model: {}", "model.architecture: is missing; it must be one of transformer, rnn, ctc, decoder_only"),
        (
            "model: {architecture: transfomer}",
            "model.architecture: must be one of transformer, rnn, ctc, decoder_only,"
            ' not "transfomer"; did you mean transformer?',
        ),
        (
            "model: {architecture: rnn, heads: 4}",
            "model.heads: is a setting of architecture transformer, ctc or decoder_only, not of rnn",
        ),
        (
            "model: {architecture: rnn, preset: tny}",
            'model.preset: must be one of tiny, small, base, big, not "tny"; did you mean tiny?',
        ),
        (
            "model: {architecture: decoder_only, preset: student-base}",
            'model.preset: must be one of tiny, small, base, big, not "student-base"',
        ),
        (
            "model: rnn",
            "model: must be a section of settings such as architecture, preset or width,"
            ' not "rnn"; write {architecture: rnn}',
        ),
        (
            "model: {architecture: rnn, tied_embeddings: all}\ntokenizer: {joint: false}",
            "model.tied_embeddings: all requires tokenizer.joint: true; or use decoder",
        ),
    ],
)
def test_invalid_model_gives_one_error(line: str, message: str, good: str, errors_of: ErrorsOf) -> None:
    text = re.sub(r"model:\n.*\n.*\n", line + "\n", good)
    (error,) = errors_of(text)
    assert error.startswith("r.yaml:12:")
    assert error.endswith(f": {message}")


def test_cross_field_error_has_the_location_of_its_key(good: str, errors_of: ErrorsOf) -> None:
    found = errors_of(good + "decoding:\n  beam_size: 2\n  n_best: 3\n")
    assert len(found) == 1 and found[0].startswith("r.yaml:19:3: decoding.n_best: ")


def test_nesterov_requires_momentum(good: str, errors_of: ErrorsOf) -> None:
    found = errors_of(good + "  optimizer: {type: sgd, momentum: 0, nesterov: true}\n")
    (error,) = found
    assert error.startswith("r.yaml:17:39: training.optimizer.nesterov: ")


def test_plateau_patience_must_be_less_than_validation_patience(good: str, errors_of: ErrorsOf) -> None:
    found = errors_of(good + "  schedule: {type: plateau, patience: 4}\n  validation: {patience: 4}\n")
    (error,) = found
    assert error.startswith("r.yaml:17:29: training.schedule.patience: ")


def test_missing_key_has_the_location_of_its_section(good: str, errors_of: ErrorsOf) -> None:
    found = errors_of(good.replace("  source_language: en\n", "").replace("run: runs/small\n", ""))
    assert found == ["r.yaml:1:1: run: is missing", "r.yaml:1:1: data.source_language: is missing"]


def test_all_errors_are_reported_in_order_of_lines(good: str, errors_of: ErrorsOf) -> None:
    text = good.replace("run:", "rum:").replace("updates: 100", "updates: ten").replace("preset: tiny", "preset: 3")
    assert errors_of(text + "run: x\nrun: y\n", "training.limit.updates=3") == [
        "r.yaml:1:1: rum: is not a setting; did you mean run?",
        "r.yaml:14:3: model.preset: must be one of tiny, small, base, big, student-tiny, student-base, not 3",
        'r.yaml:16:12: training.limits.updates: must be an integer, not "ten"',
        "r.yaml:18:1: run: is given twice; the first is on line 17",
        "--set training.limit.updates=3: training.limit: is not a setting; did you mean limits?",
    ]


def test_long_list_of_errors_is_truncated(good: str, errors_of: ErrorsOf) -> None:
    found = errors_of(good + "".join(f"bananas{number}: 1\n" for number in range(60)))
    assert len(found) == 51
    assert found[-1] == "r.yaml:1:1: and 10 more errors"


def test_thousands_of_unknown_keys_are_reported_within_seconds(errors_of: ErrorsOf) -> None:
    started = time.process_time()
    found = errors_of("".join(f"k{number}: 1\n" for number in range(9000)))
    assert time.process_time() - started < 8
    assert len(found) == MAX_ISSUES + 1
    assert re.fullmatch(r"r\.yaml:1:1: .* 8,?952 .*", found[-1])
