"""The examples of the Python guide run in order, print nothing else, and name all that the package provides."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import nmt_cli

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs" / "python.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```", GUIDE, flags=re.DOTALL | re.MULTILINE)
ENGLISH = ["Two dogs are playing.", "A man is riding a bike.", "A girl is climbing.", "the street"]
GERMAN = ["Zwei Hunde spielen.", "Ein Mann fährt Fahrrad.", "Ein Mädchen klettert.", "die Straße"]
RECIPE = """\
run: runs/en-de
data:
  source_language: en
  target_language: de
  prepared: prepared
  filters: []
  train: {corpus: {source: train.en, target: train.de}}
  valid: {dev: {source: in.en, target: in.de}}
  test: {test: {source: in.en, target: in.de}}
tokenizer: {vocabulary_size: 310}
model: {architecture: transformer, encoder_layers: 1, decoder_layers: 1, width: 16, feed_forward: 32, heads: 2}
training: {update_tokens: 64, schedule: {warmup: 5}, validation: {every: 10}, logging: {every: 5}}
"""


@pytest.mark.slow
def test_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    for language, texts in (("en", ENGLISH), ("de", GERMAN)):
        Path(f"train.{language}").write_text("".join(f"{one} {two}\n" for one in texts for two in texts))
        Path(f"in.{language}").write_text("".join(f"{text}\n" for text in texts))
    Path("recipe.yaml").write_text(RECIPE)
    for seed, run in ((2, "runs/en-de-2"), (1, "runs/en-de")):
        settings = {"seed": seed, "training.limits.updates": 20}
        nmt_cli.preprocess("recipe.yaml")
        with ThreadPoolExecutor(1) as thread:  # signals are for the main thread only
            thread.submit(nmt_cli.train, "recipe.yaml", settings, run=run).result()
    assert capfd.readouterr() == ("", "")
    names: dict[str, object] = {}
    for example in EXAMPLES:
        exec(compile(example, "docs/python.md", "exec"), names)

    printed = capfd.readouterr()
    assert printed.err == ""
    assert len(EXAMPLES) > 9
    assert printed.out.count("\n") > 12
    assert names["losses"]
    assert names["scores"]
    assert "decoding.beam_size" in printed.out


def test_guide_names_everything_that_the_package_provides() -> None:
    returned = {
        "AttentionHeads",
        "LoadedTranslator",
        "EvaluationResult",
        "Recipe",
        "ScoredPair",
        "TranslatedText",
        "TranslateSettings",
    }
    missing = {name for name in nmt_cli.__all__ if not re.search(rf"\b{name}\b", GUIDE)}
    assert missing <= returned | {"__version__"}
