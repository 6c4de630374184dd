"""`nmt backtranslate`: the corpus and recipe that it writes, shards, resuming, and what it refuses."""

import random
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from fault_injection import KillAtOperation
from forked_runs import start_command
from synthesis_project import TEXT, contents, write_lines
from typer.testing import CliRunner

from nmt_cli.cli import app
from nmt_cli.commands.backtranslate import BacktranslateOptions, BacktranslateResult, backtranslate
from nmt_cli.commands.preprocess import preprocess
from nmt_cli.commands.synthesis.translation_job import TranslationJob
from nmt_cli.commands.translators import open_translator
from nmt_cli.data.prepared import open_prepared
from nmt_cli.decoding.requests import Request, TranslateOptions
from nmt_cli.errors import DataError
from nmt_cli.processes import ShardSpec
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.text.checks.checker import Checker


def run(output: str = "out", shard: str = "1/1", **changes: Any) -> BacktranslateResult:
    options = {"model": Path("reverse"), "text": (Path("mono"),), "output": Path(output), **changes}
    found = backtranslate(Path("recipe.yaml"), (), BacktranslateOptions(**options), ShardSpec.parse(shard))
    assert found is not None
    return found


def written_pairs(output: str = "out") -> list[tuple[str, str]]:
    sides = [Path(output, name).read_text().removesuffix("\n").split("\n") for name in ("source.de", "target.en")]
    return list(zip(*sides, strict=True))


def test_corpus_has_all_translations_without_findings(project: Path) -> None:
    result = run()

    translated = [
        each.best.text for each in open_translator(TranslateOptions((Path("reverse"),))).translate(map(Request, TEXT))
    ]
    check = Checker("en", "de")
    expected = [(text, line) for text, line in zip(translated, TEXT, strict=True) if not check(line, text)]
    assert written_pairs() == [pair for pair in expected if len(pair[0]) <= 30]
    assert 0 < result.pairs == len(written_pairs()) < len(TEXT)
    assert Path("out/scores").read_text().count("\n") == result.pairs


def test_written_recipe_trains_on_both_corpora(project: Path) -> None:
    result = run()
    assert result.recipe is not None
    recipe, given = load_recipe(result.recipe), load_recipe(project)
    preprocess(recipe)

    sizes = [len(corpus) for corpus in open_prepared(recipe).train]
    assert sizes == [8, result.pairs]
    assert recipe.data.train["real"].weight == round(result.pairs / 8) > 1
    assert recipe.data.train["backtranslated"].tag == "bt"
    assert (recipe.run, recipe.data.prepared) != (given.run, given.data.prepared)
    assert recipe.model == given.model


def test_n_best_samples_are_those_of_translate(project: Path) -> None:
    settings = ("strategy=sampling", "n_best=3", "check=false")
    run(decoding=settings)

    options = TranslateOptions((Path("reverse"),), tuple(f"decoding.{setting}" for setting in settings))
    translated, check = open_translator(options).translate(map(Request, TEXT)), Checker("en", "de")
    pairs = [(found.text, each.source) for each in translated for found in each.hypotheses]
    expected = [pair for pair in pairs if len(" ".join(pair[0].split())) <= 30 and not check(*pair[::-1])]
    assert written_pairs() == expected
    assert len(expected) > len({target for _, target in expected})


def test_min_score_drops_worse_translations(project: Path) -> None:
    run("all")
    scores = [float(line) for line in Path("all/scores").read_text().split()]
    limit = sorted(scores)[len(scores) // 2]

    run(min_score=limit)

    assert written_pairs() == [pair for pair, score in zip(written_pairs("all"), scores, strict=True) if score >= limit]


def test_shards_in_any_order_equal_one_run(project: Path) -> None:
    run()
    expected = contents("out")
    shutil.rmtree("out")

    for shard in ("3/3", "1/3", "2/3"):
        assert run(shard=shard).recipe is None
        assert not Path("out").exists()
    run()

    assert contents("out") == expected
    assert sorted(path.name for path in Path().glob("out*")) == ["out", "out.lock"]


def test_unchanged_work_is_not_repeated(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run()
    monkeypatch.setattr("nmt_cli.commands.synthesis.translations.open_workers", None)
    assert run() == first

    write_lines("mono", TEXT[1:])
    with pytest.raises(TypeError, match="NoneType"):
        run()


@pytest.mark.slow
def test_killed_jobs_resume_to_the_same_files(project: Path) -> None:
    run()
    expected, rng = contents("out"), random.Random(1)
    command = ["backtranslate", "recipe.yaml", "--model", "reverse", "--text", "mono", "-o", "out"]
    kills = 0
    for operation in sorted(rng.sample(range(1, 60), 12)):
        shutil.rmtree("out", ignore_errors=True)
        forked = start_command(command, lambda operation=operation: KillAtOperation(Path.cwd(), operation))
        kills += forked.exit_code() == -signal.SIGKILL
        assert not Path("out").exists() or contents("out") == expected
        run()
        assert contents("out") == expected
        assert sorted(path.name for path in Path().glob("out*")) == ["out", "out.lock"]
    assert kills > 8


def test_lines_of_test_sets_are_dropped_at_any_case(project: Path) -> None:
    write_lines("mono", [*TEXT, "Two too!", "THREE tree"])

    assert run().selected == len(TEXT)


def test_text_that_contains_a_test_set_is_refused(project: Path) -> None:
    write_lines("mono", [*TEXT, "Two too!", "ten hen"])

    with pytest.raises(DataError, match=r"^mono: .*2 of the 2 .*test/test"):
        run()
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--name", "real"], 2, "--name real"),
        (["--name", "a b"], 2, "--name a b"),
        (["--name", "a/b"], 2, "--name a/b"),
        (["--tag", "a b"], 2, "--tag a b"),
        (["--tag", "unk"], 2, "unk"),
        (["--decoding", "beam=3"], 2, "decoding.beam"),
        (["--shard", "4/3"], 2, "--shard 4/3"),
        (["--text", "none"], 3, "none: does not exist"),
        (["--output", "dev.en"], 3, "dev.en"),
        (["--output", "."], 2, ".: is the folder"),
        (["--output", "new\udcff"], 3, "--output: contains bytes that are not UTF-8"),
        (["--set", "data.source_language=fr"], 2, "--model reverse: must translate from en into fr"),
        (["--set", "data.context={}"], 2, "data.context"),
    ],
)
def test_impossible_wishes_are_one_line(project: Path, arguments: list[str], code: int, message: str) -> None:
    command = ["backtranslate", "recipe.yaml", "--model", "reverse", "--text", "mono", "--output", "out", *arguments]
    if arguments[0] == "--text":
        command.remove("mono")
        command.remove("--text")
    forked = start_command(command)

    assert forked.exit_code() == code
    assert forked.stderr.count("nmt: error:") == 1
    assert message in forked.stderr


def test_folders_around_the_output_are_created(project: Path) -> None:
    assert run(output="new/out").recipe == Path("new/out/recipe.yaml")


def test_run_in_the_working_directory_gets_a_run_beside_it(project: Path) -> None:
    project.write_text(project.read_text().replace("run: run", "run: ."))
    result = run()

    assert result.recipe is not None
    assert load_recipe(result.recipe).run == Path.cwd().with_name(f"{Path.cwd().name}-backtranslated")


def test_dry_run_changes_nothing(project: Path) -> None:
    before = sorted(Path().rglob("*"))
    command = ["backtranslate", "recipe.yaml", "--model", "reverse", "--text", "mono", "-o", "out", "--dry-run"]

    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0
    assert f"text: {len(TEXT)} of {len(TEXT)} lines would be translated" in result.stderr
    assert sorted(Path().rglob("*")) == before


def test_folder_that_another_job_has_written_meanwhile_is_kept(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = run()
    monkeypatch.setattr("nmt_cli.commands.backtranslate.up_to_date", lambda *_: None)
    monkeypatch.setattr(TranslationJob, "run", lambda *_: pytest.fail("the text was translated again"))

    assert run() == expected


def test_dry_run_of_a_finished_folder_has_no_result(project: Path) -> None:
    run()
    options = BacktranslateOptions(Path("reverse"), (Path("mono"),), Path("out"))
    assert backtranslate(project, (), options, dry_run=True) is None


@pytest.mark.slow
def test_rounds_train_both_directions_on_each_others_text(project: Path) -> None:
    reverse = Path("recipe.yaml").read_text().replace(".en", ".x").replace(".de", ".en").replace(".x", ".de")
    reverse = reverse.replace("language: de", "language: x").replace("language: en", "language: de")
    Path("reverse.yaml").write_text(reverse.replace("language: x", "language: en").replace("run: run", "run: reverse"))
    write_lines("german", [line[::-1] for line in TEXT])
    command = [
        "backtranslate",
        "recipe.yaml",
        "--model",
        "reverse.yaml",
        "--text",
        "mono",
        "-o",
        "out",
        "--rounds",
        "2",
    ]
    command += ["--decoding", "max_length=6"]

    assert start_command(command).exit_code() == 2  # no --source-text
    command += ["--source-text", "german"]
    assert start_command([*command, "--dry-run"]).exit_code() == 0
    assert not Path("out-round1").exists()
    first = start_command(command)
    assert first.exit_code() == 0, first.stderr
    expected = contents("out")
    for name, corpus in (("out-round1", "target.en"), ("out-round1-reverse", "target.de"), ("out", "target.en")):
        run = load_recipe(Path(name, "recipe.yaml")).run
        assert (run / "model").exists() == (name != "out")
        text = TEXT if corpus.endswith("en") else [line[::-1] for line in TEXT]
        assert set(Path(name, corpus).read_text().split("\n")[:-1]) <= set(text)

    again = start_command(command)
    assert again.exit_code() == 0
    assert again.stderr.count("is up to date") >= 3
    assert contents("out") == expected
