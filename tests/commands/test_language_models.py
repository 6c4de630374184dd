"""Language models: data without translations, training, perplexity, scores and generation, by the commands."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional
from toy_model import save_toy_model

from nmt_cli.cli import app
from nmt_cli.commands.language_models import create_document_scorer, create_text_generator
from nmt_cli.commands.loading import load_language_model
from nmt_cli.commands.preprocess import preprocess
from nmt_cli.commands.train import train
from nmt_cli.data.context import decode_document, encode_documents
from nmt_cli.data.prepared import open_prepared
from nmt_cli.errors import DataError, ModelError, RecipeError
from nmt_cli.evaluation import mbr_utility
from nmt_cli.models.contract import DecoderInput, ModelInputs
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.reporting.inspection import describe_path
from nmt_cli.runs.directory import RunDirectory

RECIPE = """\
run: run
data:
  target_language: en
  prepared: prepared
  max_length: 16
  train: {rhyme: {format: text, file: train.txt}}
  valid: {rhyme: {format: text, file: valid.txt}}
tokenizer: {algorithm: character}
model: {architecture: decoder_only, preset: tiny, layers: 1, width: 16, feed_forward: 16, heads: 2}
training:
  update_tokens: 100
  schedule: {warmup: 4}
  limits: {updates: 8}
  validation: {every: 4}
"""
COUNT = ["one", "two", "three", "four", "five"]
RHYME = "\n\n".join(f"{COUNT[i % 5]} and {COUNT[(i + 1) % 5]}\n{COUNT[i % 3]}, thanks!" for i in range(60)) + "\n"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of eight updates."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        prepare(RECIPE)
        train(Path("recipe.yaml"))
    return folder


def prepare(recipe: str, train_text: str = RHYME, valid_text: str = "six and two\nthree\n\none\n") -> Path:
    Path("train.txt").write_text(train_text)
    Path("valid.txt").write_text(valid_text)
    Path("recipe.yaml").write_text(recipe)
    preprocess(load_recipe(Path("recipe.yaml")))
    return Path("recipe.yaml")


def nmt(*arguments: str) -> None:
    app(arguments, standalone_mode=False)


@pytest.fixture
def documents_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], list[str]]:
    """The prepared documents of a corpus with some settings."""
    monkeypatch.chdir(tmp_path)

    def read(settings: str, text: str) -> list[str]:
        corpus = f"{{format: text, file: train.txt{settings}}}"
        recipe = prepare(RECIPE.replace("{format: text, file: train.txt}", corpus), text)
        prepared = open_prepared(load_recipe(recipe))
        ids = prepared.train[0].read_all().targets
        return [decode_document(prepared.tokenizer.target, ids[row].tolist()) for row in range(len(ids))]

    return read


@pytest.mark.parametrize(
    ("settings", "text", "expected"),
    [
        ("", "a b\r\n  c \n\n\n \nd\n", ["a b\nc", "d"]),
        ("", "a b\n\u3000\nc\nd", ["a b", "c\nd"]),
        (", separator: newline", "a b\n\nc\nd", ["a b", "c", "d"]),
        (", separator: none", "\na b\n\nc\nd\n", ["\na b\n\nc\nd"]),
        (", field: inner.text", '{"inner": {"text": "a b\\n\\n c\\n"}}\n{"inner": {"text": "d"}}\n', ["a b\n\nc", "d"]),
    ],
)
def test_documents_keep_their_lines(
    documents_of: Callable[[str, str], list[str]], settings: str, text: str, expected: list[str]
) -> None:
    assert documents_of(settings, text) == expected


def test_duplicates_of_documents_are_dropped(documents_of: Callable[[str, str], list[str]]) -> None:
    assert documents_of("", "a\nb\n\na\nb\n\na b\n") == ["a\nb", "a\nb", "a b"]
    text = RECIPE.replace("  prepared:", "  filters: [{type: duplicates}, {type: overlap}]\n  prepared:")
    recipe = prepare(text, "a\nb\n\na\nb\n\na b\n\none\n", "one\n")
    assert len(open_prepared(load_recipe(recipe)).train[0]) == 2


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("architecture: decoder_only, preset: tiny, layers: 1", "architecture: rnn, preset: tiny", "model"),
        ("tokenizer: {", "tokenizer: {joint: false, ", "tokenizer.joint"),
        ("tokenizer: {", "tokenizer: {byte_fallback: false, ", "tokenizer.byte_fallback"),
        ("validation: {", "validation: {metric: bleu, ", "training.validation.metric"),
        ("  update_tokens:", "  word_dropout: {source: 0.1}\n  update_tokens:", "training.word_dropout.source"),
        ("  prepared:", "  language_tags: true\n  prepared:", "data.language_tags"),
        ("  prepared:", "  filters: [{type: ratio}]\n  prepared:", "data.filters"),
        ("file: valid.txt", "file: valid.txt, separator: none, field: text", "data.valid.rhyme.separator"),
        ("{format: text, file: valid.txt}", "{source: a, target: b}", "data.valid.rhyme.format"),
    ],
)
def test_settings_of_translations_are_refused(tmp_path: Path, old: str, new: str, key: str) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE.replace(old, new).replace("width: 16, feed_forward: 16, heads: 2", ""))
    with pytest.raises(RecipeError, match=key.replace(".", r"\.")):
        load_recipe(tmp_path / "recipe.yaml")


def test_validation_loss_is_that_of_evaluate(trained: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    lines = RunDirectory(trained / "run").metrics.read_text().split("\n")[:-1]
    logged = [record for record in map(json.loads, lines) if record["kind"] == "valid"]
    assert [record["update"] for record in logged] == [4, 8]
    assert logged[-1]["perplexity"] == pytest.approx(math.exp(logged[-1]["loss"]))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(trained)
        nmt("evaluate", "run/checkpoints/step_8", "--json")
    found = json.loads(capfdbinary.readouterr().out)["rhyme"]
    assert found["loss"] == pytest.approx(logged[-1]["loss"], abs=1e-5)
    assert found["documents"] == 2
    assert found["nats_per_character"] * (len("six and two\nthree\none") + 1) == pytest.approx(
        found["loss"] * found["tokens"]
    )


def test_scores_are_those_of_whole_windows(trained: Path) -> None:
    loaded = load_language_model(trained / "run")
    model, special, texts = loaded.model, loaded.tokenizer.special_tokens, ["one and two\nthree", "", "x" * 40]
    expected = []
    for text in texts:
        ids = encode_documents(loaded.tokenizer.target, [text.replace("\n", "\x1e")])[0].tolist()
        inputs, labels = [special.decoder_start, *ids], [*ids, special.eos]
        log_prob = 0.0
        for start in range(0, len(inputs), 16):
            window = torch.tensor([inputs[start : start + 16]])
            logits = model.logits(model.decode(model.encode(ModelInputs(1)), DecoderInput(window)))
            target = torch.tensor(labels[start : start + 16])
            log_prob -= functional.cross_entropy(logits, target, reduction="sum").item()
        expected.append((log_prob, len(labels)))
    found = create_document_scorer(loaded).score(texts, 64)
    assert [each.tokens for each in found] == [tokens for _, tokens in expected]
    assert [each.log_probability for each in found] == pytest.approx([log_prob for log_prob, _ in expected], abs=1e-4)


def test_score_writes_a_line_per_line(trained: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    (trained / "lines.txt").write_text("one and two\n\nthree\n")
    nmt("score", str(trained / "run"), "--target", str(trained / "lines.txt"), "--format", "jsonl")
    records = [json.loads(line) for line in capfdbinary.readouterr().out.split(b"\n")[:-1]]
    assert [record["text"] for record in records] == ["one and two", "", "three"]
    assert all(record["score"] < 0 for record in records)
    with pytest.raises(RecipeError, match="--source"):
        nmt("score", str(trained / "run"), "--source", "a", "--target", "b")
    with pytest.raises(RecipeError, match=r"decoding\.length"):
        nmt("score", str(trained / "run"), "--target", str(trained / "lines.txt"), "--set", "decoding.length=short")


def test_streamed_text_is_the_whole_continuation(trained: Path) -> None:
    settings = ["decoding.max_length=50", "decoding.strategy=sampling", "decoding.temperature=2.0"]
    generator, parts = create_text_generator(load_language_model(trained / "run", settings)), list[str]()
    (found,) = generator.generate("one and\n", on_text=parts.append)
    assert "".join(parts) == found.text
    assert len(parts) > 1
    assert found.tokens <= 50
    again, other = generator.generate("one and\n", 1)[0], generator.generate("one and\n", 2)[0]
    assert again.text == found.text != other.text


def test_generated_text_has_line_breaks(trained: Path) -> None:
    sampling = "decoding={strategy: sampling, temperature: 50.0, max_length: 500, min_length: 500}"
    (found,) = create_text_generator(load_language_model(trained / "run", [sampling])).generate("one")
    assert "\n" in found.text


def test_a_recipe_generates_like_its_run(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)
    for options in ([], ["decoding.seed=2"]):
        by_recipe, by_run = (load_language_model(Path(name), options) for name in ("recipe.yaml", "run"))
        assert by_recipe.decoding == by_run.decoding


def test_generation_goes_on_beyond_the_window(trained: Path) -> None:
    settings = ["decoding.max_length=70", "decoding.min_length=70", "decoding.strategy=beam", "decoding.beam_size=1"]
    generator = create_text_generator(load_language_model(trained / "run", settings))
    (found,) = generator.generate("one and two " * 9)
    assert found.tokens == 70
    special, tokens = generator.tokenizer.special_tokens, [generator.tokenizer.special_tokens.decoder_start]
    (greedy,) = generator.generate("")
    for _ in range(12):
        output = generator.model.decode(generator.model.encode(ModelInputs(1)), DecoderInput(torch.tensor([tokens])))
        logits = generator.model.logits(output)[-1]
        logits[[special.pad, special.unk, special.bos, special.eos]] = -torch.inf
        tokens.append(int(logits.argmax()))
    assert greedy.text.startswith(decode_document(generator.tokenizer.target, tokens[1:]))


def test_minimum_length_counts_all_windows(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ["decoding={strategy: beam, beam_size: 1, min_length: 20, max_length: 90}"]
    generator = create_text_generator(load_language_model(trained / "run", settings))
    model, eos = generator.model, generator.tokenizer.special_tokens.eos
    step = model.step

    def preferring_eos(ids: torch.Tensor, cache: object) -> tuple[torch.Tensor, object]:
        logits, cache = step(ids, cache)
        logits[..., eos] += 1000
        return logits, cache

    monkeypatch.setattr(model, "step", preferring_eos)
    (found,) = generator.generate("one")
    assert (found.tokens, found.has_eos) == (20, True)


def test_several_hypotheses_are_not_streamed(trained: Path) -> None:
    """Only the chosen candidate is passed on, at the end; of several continuations none is."""
    settings = ["decoding={strategy: mbr, num_candidates: 3, temperature: 2.0, max_length: 40, min_length: 40}"]
    generator, parts = create_text_generator(load_language_model(trained / "run", settings)), list[str]()
    (found,) = generator.generate("one", on_text=parts.append)
    assert parts == [found.text]
    settings = ["decoding={strategy: sampling, n_best: 2}"]
    generator = create_text_generator(load_language_model(trained / "run", settings))
    with pytest.raises(ValueError, match="n_best 1"):
        generator.generate("one", on_text=parts.append)


@pytest.mark.parametrize(("language", "tokenizer"), [("en", "13a"), ("zh", "zh"), ("en", "char")])
def test_mbr_compares_continuations_as_the_evaluation_does(
    trained: Path, language: str, tokenizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    used, pairwise_bleu = list[str](), mbr_utility.pairwise_bleu
    monkeypatch.setattr(
        mbr_utility, "pairwise_bleu", lambda texts, name: used.append(name) or pairwise_bleu(texts, name)
    )
    settings = ["decoding={strategy: mbr, num_candidates: 3, utility: bleu, max_length: 8}"]
    loaded = load_language_model(
        trained / "run", [*settings, *["evaluation.bleu_tokenizer=char"] * (tokenizer == "char")]
    )
    config = loaded.config.model_copy(update={"target_language": language})
    create_text_generator(replace(loaded, config=config)).generate("one")
    assert used == [tokenizer]


@pytest.mark.parametrize("setting", ["replace_unknown=true", "language_model={path: run}", "coverage_penalty=0.1"])
def test_settings_of_the_search_for_translations_are_refused(trained: Path, setting: str) -> None:
    settings = ["decoding={strategy: beam}", f"decoding.{setting}"]
    with pytest.raises(RecipeError, match=rf"^decoding\.{setting.partition('=')[0]}: "):
        create_text_generator(load_language_model(trained / "run", settings))


def test_generate_prints_continuations(trained: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    run, options = str(trained / "run"), ["--set", "decoding.max_length=8"]
    nmt("generate", run, "--prompt", "one", *options)
    assert capfdbinary.readouterr().out.endswith(b"\n")
    (trained / "prompts.txt").write_text("one\ntwo\n")
    beam = ["--set", "decoding={strategy: beam, n_best: 2, beam_size: 3, max_length: 8}"]
    nmt("generate", run, "-i", str(trained / "prompts.txt"), "--format", "jsonl", *beam)
    records = [json.loads(line) for line in capfdbinary.readouterr().out.split(b"\n")[:-1]]
    assert [(record["id"], record["prompt"]) for record in records] == [(0, "one")] * 2 + [(1, "two")] * 2
    assert all(record["length"] <= 8 for record in records)
    assert records[0]["score"] >= records[1]["score"]


def test_commands_refuse_the_other_kind_of_model(trained: Path) -> None:
    with pytest.raises(ModelError, match="nmt generate"):
        nmt("translate", str(trained / "run"), "-i", str(trained / "valid.txt"))
    with pytest.raises(RecipeError, match="--robustness"):
        nmt("evaluate", str(trained / "run"), "--robustness")
    with pytest.raises(RecipeError, match="it has rhyme"):
        nmt("evaluate", str(trained / "run"), "--test", "other")


def test_reports_name_documents(trained: Path) -> None:
    card = (trained / "run/model/README.md").read_text()
    assert "pipeline_tag: text-generation" in card
    assert "# Language model of en\n" in card
    assert "`nmt generate` reads this folder" in card
    assert "| corpus | documents | target subwords |" in card
    assert "translat" not in card
    assert describe_path(trained / "prepared").facts["train/rhyme"].startswith("60 of 60 documents, ")


def test_text_without_documents_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"valid\.txt: 0 usable documents of 0 read"):
        prepare(RECIPE, valid_text="\n")


def test_text_that_is_not_utf8_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    prepare(RECIPE)
    Path("train.txt").write_bytes(b"one\n\ntw\xe4o\n")
    with pytest.raises(DataError, match="document 2"):
        preprocess(load_recipe(Path("recipe.yaml")))


def test_resumed_training_packs_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    prepare(RECIPE)
    weights = []
    for run, stops in (("whole", (8,)), ("resumed", (3, 8))):
        for updates in stops:
            text = RECIPE.replace("run: run", f"run: {run}").replace("updates: 8", f"updates: {updates}")
            Path("recipe.yaml").write_text(text.replace("every: 4", "every: 100"))
            train(Path("recipe.yaml"))
        loaded = load_language_model(Path(run))
        weights.append(torch.cat([weight.flatten() for weight in loaded.model.parameters()]))
    assert torch.equal(*weights)


def test_language_model_helps_to_translate(
    tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.chdir(tmp_path)
    save_toy_model(Path("translator"))
    text = RECIPE.replace("file: train.txt", "file: train.txt, separator: newline")
    text = text.replace("algorithm: character", "path: translator").replace("updates: 8", "updates: 2")
    prepare(text.replace("every: 4", "every: 2"), "one two\nthree four five\n" * 20, "one three\n\n")
    train(Path("recipe.yaml"))
    Path("in.txt").write_text("one\ntwo two\n")
    outputs = []
    for weight in (1e-9, 10):
        fusion = f"decoding.language_model={{path: run, weight: {weight}}}"
        nmt("translate", "translator", "-i", "in.txt", "--no-check", "--set", fusion)
        outputs.append(capfdbinary.readouterr().out)
    nmt("translate", "translator", "-i", "in.txt", "--no-check")
    assert outputs[0] == capfdbinary.readouterr().out != outputs[1]
    for members in (("translator", "run"), ("run", "translator"), ("run", "run")):
        with pytest.raises(
            ModelError, match=r"^run/model: is a language model; an ensemble needs models that translate$"
        ):
            nmt("translate", *members, "-i", "in.txt")
    for path, message in ((trained / "run", "another vocabulary"), ("translator", "name a language model")):
        with pytest.raises(ModelError, match=message):
            nmt("translate", "translator", "-i", "in.txt", "--set", f"decoding.language_model={{path: {path}}}")
