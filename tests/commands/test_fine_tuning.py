"""Fine-tuning of models of any origin: in full, with adapters, with new languages and subwords."""

from pathlib import Path

import numpy as np
import pytest
import torch
from foreign_models import LINES, write_nllb, write_npz
from toy_model import WORDS, save_toy_model

from nmt_cli import console, files
from nmt_cli.cli import app
from nmt_cli.commands.evaluation_inputs import open_model
from nmt_cli.commands.import_model import import_model
from nmt_cli.commands.loading import load_model
from nmt_cli.commands.preprocess import preprocess
from nmt_cli.commands.starting import initial_model, with_start
from nmt_cli.commands.train import train
from nmt_cli.commands.translators import create_translator
from nmt_cli.data.batches import validation_batches
from nmt_cli.data.prepared import open_prepared
from nmt_cli.decoding.requests import Request, TranslateOptions
from nmt_cli.decoding.sentences import SentenceInput
from nmt_cli.errors import ModelError, RecipeError
from nmt_cli.models.contract import DecoderInput, Model, ModelInputs
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.recipe.schema import Recipe
from nmt_cli.reporting.inspection import describe_path
from nmt_cli.runs.checkpoints import read_tensors
from nmt_cli.runs.directory import RunDirectory
from nmt_cli.runs.journal import read_journal, read_summary
from nmt_cli.training.objectives.cross_entropy import CrossEntropyObjective

RECIPE = """\
run: run
data:
  source_language: en
  target_language: de
  prepared: prepared
  filters: []
  train: {new: {source: train.txt, target: train.txt}}
  valid: {new: {source: dev.txt, target: dev.txt}, old: {source: dev.txt, target: dev.txt}}
training:
  start_from: base
  update_tokens: 200
  schedule: {type: inverse_sqrt, warmup: 1}
  limits: {updates: 4}
  validation: {every: 2, metric: loss}
  checkpoints: {keep_best: 2}
decoding: {beam_size: 1, max_length_ratio: 1.0}
"""
LORA = "training.lora={rank: 2, alpha: 3, targets: ['*attention*', decoder.*]}"


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe that starts from the model `base`, which it does not describe."""
    monkeypatch.chdir(tmp_path)
    write_data([f"{one} {other}" for one in WORDS for other in WORDS])
    save_toy_model(Path("base"))
    path = Path("recipe.yaml")
    path.write_text(RECIPE)
    return path


def write_data(lines: list[str]) -> None:
    for name, chosen in (("train", lines), ("dev", lines[::13])):
        Path(f"{name}.txt").write_text("".join(f"{line}\n" for line in chosen))


def prepared(recipe: Path, *overrides: str) -> Recipe:
    settings = load_recipe(recipe, overrides)
    preprocess(settings)
    return with_start(settings)


def logits(model: Model, source: list[int], target: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        encoded = model.eval().encode(ModelInputs.from_ids(torch.tensor([source])))
        return model.logits(model.decode(encoded, DecoderInput(torch.tensor([target]))))


def test_architecture_and_tokenizer_are_those_of_the_model_and_dropout_may_differ(recipe: Path) -> None:
    given = ["model={architecture: transformer, width: 16, dropout: 0.4}"]
    settings = with_start(load_recipe(recipe, given))
    base = load_model(Path("base")).config.model
    assert settings.model == base.model_copy(update={"dropout": 0.4})
    assert settings.tokenizer.path == Path("base")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model={architecture: transformer, width: 32}", r"^model\.width: 32 .*start_from: base has 16"),
        ("model={architecture: transformer, preset: small}", r"^model\.width: 256 "),
        ("model={architecture: transformer, positions: {type: rotary}}", r"^model\.positions\.type: rotary "),
        ("model={architecture: rnn}", r"^model\.architecture: rnn "),
        ("data.sequence={language_tokens: true}", r"^data\.sequence\.language_tokens: True "),
        ("tokenizer.extension={languages: {fr: en}}", r"^tokenizer\.extension\.languages: .*no language tokens"),
    ],
)
def test_settings_that_contradict_the_model_are_refused(recipe: Path, override: str, message: str) -> None:
    overrides = ["tokenizer.path=base", override] if "extension" in override else [override]
    with pytest.raises(RecipeError, match=message):
        with_start(load_recipe(recipe, overrides))


@pytest.mark.parametrize(
    ("changes", "override", "message"),
    [
        (
            {"architecture": "rnn", "attention": "none"},
            "coverage_loss={}",
            r"^training\.coverage_loss: requires attention",
        ),
        ({"architecture": "transformer", "layer_drop": 0.1}, "parallel={type: fsdp}", r"^model\.layer_drop: is not"),
    ],
)
def test_settings_that_are_impossible_with_the_model_are_refused(
    recipe: Path, changes: dict[str, object], override: str, message: str
) -> None:
    save_toy_model(Path("other"), model={"preset": "tiny", **changes})
    with pytest.raises(RecipeError, match=f"{message}.*start_from: other"):
        with_start(load_recipe(recipe, ["training.start_from=other", f"training.{override}"]))


def test_adapters_start_at_the_model_and_are_all_that_is_trained(recipe: Path) -> None:
    settings, base = prepared(recipe, LORA), load_model(Path("base"))
    model = initial_model(settings, base.tokenizer)
    assert torch.equal(logits(model, [5, 6, 3], [2, 7]), logits(base.model.cpu(), [5, 6, 3], [2, 7]))

    train(recipe, [LORA])

    before, run = read_tensors(Path("base/model.safetensors")), RunDirectory(Path("run"))
    state = read_tensors(run.checkpoint(4) / "optimizer.safetensors")
    assert state
    assert all(name.endswith((".lora_a", ".lora_b")) for name in state)
    checkpoint = read_tensors(run.checkpoint(4) / "model.safetensors")
    assert all(torch.equal(checkpoint[name], weight) for name, weight in before.items())
    scores = read_summary(run)
    assert scores["start_scores"].keys() == scores["published"]["scores"].keys() == {"new", "old"}
    assert read_journal(run.metrics).valid["old"]["loss"].updates == [0, 2, 4]


def test_default_adapters_of_an_rnn_are_trained_and_applied(recipe: Path) -> None:
    save_toy_model(Path("rnn"), model={"architecture": "rnn", "preset": "tiny", "width": 8, "embedding_width": 8})
    overrides = ["training.start_from=rnn", "training.lora={rank: 2}", "training.optimizer.learning_rate=0.1"]
    prepared(recipe, *overrides)
    train(recipe, overrides)

    merged = read_tensors(Path("run/model/model.safetensors"))
    changed = {
        name for name, weight in read_tensors(Path("rnn/model.safetensors")).items() if (weight != merged[name]).any()
    }
    assert changed == {"attention.key.weight", "bridges.0.weight", "combine.weight"}
    loaded = load_model(Path("rnn"), adapter=Path("run"))
    assert all(torch.equal(merged[name], weight) for name, weight in loaded.model.cpu().named_parameters())
    assert "targets" not in describe_path(Path("run/adapter")).facts


def test_merged_adapters_compute_what_unmerged_ones_do(recipe: Path) -> None:
    prepared(recipe, LORA)
    train(recipe, [LORA, "training.optimizer.learning_rate=0.1", "training.checkpoints.keep_best=1"])

    adapter, base = (read_tensors(Path(path)) for path in ("run/adapter/adapter.safetensors", "base/model.safetensors"))
    merged = read_tensors(Path("run/model/model.safetensors"))
    for name, weight in base.items():
        layer = name.removesuffix(".weight")
        product = 0
        if f"{layer}.lora_a" in adapter:
            product = adapter[f"{layer}.lora_b"].numpy() @ adapter[f"{layer}.lora_a"].numpy()
            assert np.abs(product).max() > 1e-3
        assert np.allclose(merged[name], weight.numpy() + 3 / 2 * product, atol=1e-6)
    loaded = load_model(Path("base"), adapter=Path("run"))
    assert all(torch.equal(merged[name], weight) for name, weight in loaded.model.cpu().named_parameters())
    unmerged = initial_model(with_start(load_recipe(recipe, [LORA])), loaded.tokenizer)
    unmerged.load_state_dict(adapter, strict=False)
    given = [5, 6, 3], [2, 7, 8]
    assert torch.allclose(logits(unmerged, *given), logits(loaded.model, *given), atol=1e-5)
    translator = create_translator(load_model(Path("run"), ["decoding.precision=int8"]))
    assert len([*translator.translate([Request("one two"), Request("three")])]) == 2

    files.remove(Path("base"))
    save_toy_model(Path("base"), tying="none")
    with pytest.raises(ModelError, match=r"^run/adapter: belongs to another model"):
        load_model(Path("base"), adapter=Path("run"))


def test_training_of_adapters_resumes_exactly_and_without_the_model(recipe: Path) -> None:
    overrides = [LORA, "training.schedule.warmup=1", "training.checkpoints.keep_best=1"]
    prepared(recipe, *overrides)
    train(recipe, overrides, Path("whole"))
    train(recipe, [*overrides, "training.limits.updates=2"])
    Path("base").rename("elsewhere")
    train(recipe, overrides)
    for name in ("model/model.safetensors", "adapter/adapter.safetensors", "checkpoints/step_4/optimizer.safetensors"):
        assert Path("run", name).read_bytes() == Path("whole", name).read_bytes()


def test_parameters_that_are_also_trained_belong_to_the_adapter(recipe: Path) -> None:
    overrides = [LORA.replace("}", ", also_train: [embeddings.*]}")]
    prepared(recipe, *overrides)
    train(recipe, overrides)
    merged = load_model(Path("base"), adapter=Path("run/adapter")).model.cpu()
    changed = merged.get_parameter("embeddings.target.weight")
    assert not torch.equal(changed, load_model(Path("base")).model.cpu().get_parameter("embeddings.target.weight"))
    assert torch.equal(changed, load_model(Path("run")).model.cpu().get_parameter("embeddings.target.weight"))


def test_adapter_is_described(recipe: Path) -> None:
    prepared(recipe, LORA)
    train(recipe, [LORA, "training.limits.updates=2"])

    adapter, run = (describe_path(Path(path)) for path in ("run/adapter", "run"))

    assert adapter.kind == "adapter"
    assert (adapter.facts["rank"], adapter.facts["targets"]) == ("2", "*attention*, decoder.*")
    assert int(adapter.facts["parameters"].replace(",", "")) > 0
    assert adapter.facts["base"].startswith("base, model with parameters of SHA-256 ")
    assert run.facts["adapter"].startswith("rank 2; alpha 3.0; targets *attention*, decoder.*; parameters ")


@pytest.mark.parametrize("also_train", ["[]", "[embeddings.*]"])
def test_adapter_has_the_rows_of_new_subwords(recipe: Path, also_train: str) -> None:
    write_data([f"{line} ññ ñañ" for line in LINES])
    lora = LORA.replace("}", f", also_train: {also_train}}}")
    overrides = [lora, "tokenizer={path: base, extension: {pieces: 3}}", "training.limits.updates=2"]
    prepared(recipe, *overrides)
    train(recipe, overrides)

    loaded, merged, base = (
        load_model(Path("base"), adapter=Path("run")),
        load_model(Path("run")),
        load_model(Path("base")),
    )

    assert loaded.tokenizer.fingerprint == merged.tokenizer.fingerprint != base.tokenizer.fingerprint
    assert loaded.config.vocabulary == merged.config.vocabulary
    expected = dict(merged.model.cpu().named_parameters())
    found = dict(loaded.model.cpu().named_parameters())
    assert found.keys() == expected.keys()
    assert all(torch.equal(weight, expected[name]) for name, weight in found.items())
    tensors = read_tensors(Path("run/adapter/adapter.safetensors"))
    rows = {name: tensor for name, tensor in tensors.items() if name.endswith(".added_rows")}
    num_added = loaded.tokenizer.target_size - base.tokenizer.target_size
    assert num_added == 3
    assert all(num_added in tensor.shape for tensor in rows.values())
    assert ("embeddings.target.weight.added_rows" in rows) == (also_train == "[]")
    translator = create_translator(load_model(Path("base"), adapter=Path("run/adapter")))
    assert len([*translator.translate([Request("ñañ one")])]) == 1


@pytest.mark.parametrize("pieces", [0, 3])
@pytest.mark.parametrize("dry_run", [False, True])
def test_run_without_vocabulary_sizes_of_the_model_is_completed_or_refused(
    recipe: Path, pieces: int, dry_run: bool
) -> None:
    """Earlier versions did not record them."""
    write_data([f"{line} ññ ñañ" for line in LINES])
    extension = [f"tokenizer={{path: base, extension: {{pieces: {pieces}}}}}"] if pieces else []
    overrides = [LORA, *extension, "training.limits.updates=2"]
    prepared(recipe, *overrides)
    train(recipe, overrides)
    run, overrides = RunDirectory(Path("run")), [*overrides[:-1], "training.limits.updates=4"]
    summary = read_summary(run)
    del summary["base"]["vocabulary"]
    files.write_json(run.summary, summary)
    Path("base").rename("elsewhere")
    if pieces:
        with pytest.raises(ModelError, match=r"^run/run\.json: .*base is missing"):
            train(recipe, overrides, dry_run=dry_run)
        Path("elsewhere").rename("base")
    train(recipe, overrides, dry_run=dry_run)
    if not dry_run:
        assert (run.adapter / "tokenizer").exists() == bool(pieces)


@pytest.mark.parametrize("key", ["targets", "also_train"])
def test_dry_run_refuses_patterns_of_adapters_that_match_nothing(recipe: Path, key: str) -> None:
    prepared(recipe)
    with pytest.raises(RecipeError, match=rf"^training\.lora\.{key}: nothing matches"):
        train(recipe, [f"training.lora={{{key}: [nothing.*]}}"], dry_run=True)
    train(recipe, [LORA], dry_run=True)


def test_run_without_adapter_is_named(recipe: Path) -> None:
    prepared(recipe)
    train(recipe, ["training.limits.updates=2"])
    with pytest.raises(ModelError, match=r"^run: is a run without an adapter"):
        load_model(Path("base"), adapter=Path("run"))


def test_new_subwords_of_a_marian_model_leave_old_rows_as_they_were(recipe: Path) -> None:
    """Both sides have one vocabulary, but a segmenter each."""
    write_npz(Path("marian"))
    import_model(Path("marian"), Path("imported"))
    write_data([f"{line} ññ ñañ" for line in LINES])
    overrides = ["training.start_from=imported", "tokenizer={path: imported, extension: {pieces: 5}}"]
    settings, base = prepared(recipe, *overrides), load_model(Path("imported"))
    tokenizer = open_prepared(settings).tokenizer
    assert tokenizer.source.entries == tokenizer.target.entries
    assert tokenizer.source.entries[: base.tokenizer.source_size] == base.tokenizer.source.entries
    assert "ñ" in tokenizer.source.entries[base.tokenizer.source_size :]
    assert tokenizer.decode_target(tokenizer.encode_target(["ñ bal"])) == ["ñ bal"]
    model, size = initial_model(settings, tokenizer), base.tokenizer.source_size
    for name in ("embeddings.target.weight", "output.bias"):
        assert torch.equal(model.get_parameter(name)[:size], base.model.cpu().get_parameter(name))


def test_model_with_language_tokens_learns_a_new_language(recipe: Path) -> None:
    write_nllb(Path("nllb"))
    import_model(Path("nllb"), Path("imported"))
    write_data(LINES)
    overrides = ["training.start_from=imported", "data.source_language=eng_Latn", "data.target_language=gsw_Latn"]
    with pytest.raises(RecipeError, match=r"^data\.target_language: gsw_Latn: .*extension\.languages"):
        with_start(load_recipe(recipe, overrides))
    with pytest.raises(RecipeError, match=r"^data\.length_tags: "):
        known = (*overrides[:2], "data.target_language=deu_Latn")
        with_start(load_recipe(recipe, [*known, "data.length_tags=true"]))
    overrides.append("tokenizer={path: imported, extension: {languages: {gsw_Latn: deu_Latn}}}")
    settings, base = prepared(recipe, *overrides), load_model(Path("imported"))
    data = open_prepared(settings)
    model, tags = initial_model(settings, data.tokenizer), data.tokenizer.source.tags
    embeddings, before = (each.get_parameter("embeddings.target.weight") for each in (model, base.model.cpu()))
    assert torch.equal(embeddings[:-1], before)
    assert torch.equal(embeddings[-1], before[tags["deu_Latn"]])

    special = data.tokenizer.special_tokens
    batch = next(validation_batches(data.valid["new"].read_all(), 60, special, data.layout))
    for row, source in enumerate(batch.source.tolist()):
        assert (source[0], source[-1]) == (tags["eng_Latn"], special.eos)
        assert batch.decoder_input[row, :2].tolist() == [special.decoder_start, tags["gsw_Latn"]]
    assert tags["gsw_Latn"] not in batch.labels
    assert batch.label_positions[0] == 1

    train(recipe, [*overrides, "training.limits.updates=2"])
    trained = load_model(Path("run"))
    assert trained.config.language_tokens == ["deu_Latn", "eng_Latn", "fra_Latn", "gsw_Latn"]
    scorer = create_translator(trained)
    assert scorer.tags.prompt() == (special.decoder_start, tags["gsw_Latn"])

    evaluated = open_model(Path("run"), [], console)
    for language in ("fra_Latn", None):
        own = create_translator(load_model(Path("run")), TranslateOptions(source_language=language))
        found = [each.text for each in evaluated.translate([Request(LINES[0])], language)]
        assert found == [each.best.text for each in own.translate([Request(LINES[0])])]
        assert own.tags.ids()[0] == tags[language or "eng_Latn"]


@pytest.mark.parametrize("content", ["config.json", "model.bin", "model.npz"])
def test_folder_of_another_toolkit_is_refused_with_the_command_that_converts_it(tmp_path: Path, content: str) -> None:
    (tmp_path / content).write_text('{"model_type": "marian"}')
    with pytest.raises(ModelError, match=r"nmt import .*docs/fine-tuning\.md"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"source_language_last": True},
        {"source_language_last": True, "target_language_first": True},
        {"language_tokens": None, "bos": True},
        {"language_tokens": None, "source_eos": False},
    ],
)
def test_training_reads_pairs_as_search_does(recipe: Path, changes: dict[str, object]) -> None:
    """The loss before training is that of the log-probabilities of `nmt score`."""
    write_nllb(Path("nllb"))
    import_model(Path("nllb"), Path("imported"))
    config = Path("imported/config.json")
    files.write_json(config, files.read_json(config) | {"target_language": "deu_Latn"} | changes)
    files.write_manifest(Path("imported"), {"format": 1})
    write_data(LINES)
    languages = ["data.source_language=eng_Latn", "data.target_language=deu_Latn"]
    settings = prepared(recipe, "training.start_from=imported", *languages)
    data, model = open_prepared(settings), initial_model(settings, load_model(Path("imported")).tokenizer)
    objective, losses = CrossEntropyObjective(model, 0.0).eval(), list[float]()
    for batch in validation_batches(data.valid["new"].read_all(), 60, data.tokenizer.special_tokens, data.layout):
        with torch.no_grad():
            losses.append(float(objective(batch)[0]))

    translator = create_translator(load_model(Path("imported")))
    sources, targets = data.valid["new"].read_text()
    rows = data.tokenizer.encode_target(targets)
    tags, prompt = translator.tags, translator.tags.prompt()
    sentences = [
        SentenceInput(1, row, tags=tags.ids(), suffix=tags.suffix, prompt=prompt)
        for row in data.tokenizer.encode_source(sources)
    ]
    scores = translator.generator.score(sentences, rows, 1000)
    expected = -sum(sum(each.token_log_probs) for each in scores)
    assert sum(losses) == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_commands_add_an_adapter_to_its_model(recipe: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """The model is a run, whose test sets `nmt evaluate` translates with and without the adapter."""
    tests = ["data.test={t: {source: dev.txt, target: dev.txt}}", "training.optimizer.learning_rate=0.05"]
    prepared(recipe, *tests)
    train(recipe, tests, Path("parent"))
    overrides = [LORA, "training.start_from=parent", "data.prepared=again", *tests]
    prepared(recipe, *overrides)
    train(recipe, overrides)

    def printed(command: str, *arguments: str) -> bytes:
        capsysbinary.readouterr()
        with pytest.raises(SystemExit) as ended:
            app([command, *arguments])
        assert ended.value.code == 0
        return capsysbinary.readouterr().out

    files_given = "--source", "dev.txt", "--target", "dev.txt"
    merged, base, adapted = (
        printed("score", *model, *files_given) for model in (["run"], ["parent"], ["parent", "--adapter", "run"])
    )
    assert merged == adapted != base
    assert printed("translate", "run", "-i", "dev.txt") == printed(
        "translate", "parent", "--adapter", "run/adapter", "-i", "dev.txt"
    )
    printed("evaluate", "parent")
    printed("evaluate", "parent", "--adapter", "run")
    assert len([*Path("parent/evaluation").iterdir()]) == 2
