import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from nmt_cli.data.preparation.preparing import ALL_WORK, prepare
from nmt_cli.data.prepared import open_prepared
from nmt_cli.recipe.loading import load_recipe
from peers import PEERS
from peers.child import Child, ChildError, count_cores, measure, run
from peers.contract import MODELS, Corpus, Work
from peers.corpora import MULTI30K_FILES, NEWS_LONGEST, from_pieces, mean_length, news, write_pieces
from peers.ours import Ours, data_sections

REPORTS = {
    "eole": "[2026-01-01 00:00:00,000 INFO] Step  3/    8; acc: 0.0; ppl: 8163.96; xent: 9.01; aux: 0.000; mtp: 0.000;"
    " attn_ent: 2.218; lr: 2.34e-05; sents:     292; bsz: 2920/3592/292; 947/1165 tok/s;     13 sec;",
    "opennmt-py": "[2026-01-01 00:00:00,000 INFO] Step  1/    6; acc: 0.0; ppl: 8212.0; xent: 9.0; lr: 0.00002;"
    " sents:     292; bsz: 3504/3592/292; 486/527 tok/s;      7 sec;",
    "fairseq": '2026-01-01 00:00:00 | INFO | train_inner | {"epoch": 1, "update": 0.006, "wpb": "3592", "bsz": "72"}',
    "joeynmt": "target_tokens 3692",
    "huggingface": "target_tokens 3692",
}


def work(folder: Path, model: str = "small") -> Work:
    return Work(Corpus("text", folder), model, "fp32", 1024, "cpu", 16.0)


@pytest.mark.parametrize("name", PEERS)
def test_reports_of_each_peer_are_parsed(name: str) -> None:
    system = PEERS[name](Path("python"))

    assert system.count(REPORTS[name], 100) == 3692
    assert system.count("[2026-01-01 00:00:00,000 INFO] Start training loop", 100) == 100


@pytest.mark.parametrize("name", ["eole", "opennmt-py", "fairseq"])
def test_report_of_means_counts_all_its_updates(name: str, tmp_path: Path) -> None:
    five = replace(work(tmp_path), report_every=5)
    system = PEERS[name](Path("python"))

    system.training(five, tmp_path)

    assert system.count(REPORTS[name], 100) == 100 + 5 * 3592


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("model", MODELS)
def test_each_peer_has_a_command_or_a_reason(name: str, model: str, tmp_path: Path) -> None:
    corpus = work(tmp_path, model)
    corpus.corpus.vocabulary.parent.mkdir()
    corpus.corpus.vocabulary.write_text("▁a\n▁b\n")
    system = PEERS[name](Path("/opt/python"))

    if system.refusal(corpus) is None:
        assert system.training(corpus, tmp_path)[0] == "/opt/python"


@pytest.mark.parametrize("model", MODELS)
def test_our_recipe_is_valid(model: str, tmp_path: Path) -> None:
    Ours().training(work(tmp_path, model), tmp_path)

    assert load_recipe(tmp_path / "recipe.yaml").training.update_tokens == 1024


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Corpus:
    monkeypatch.setattr("peers.ours.VOCABULARY_SIZE", 268)  # the bytes, and the few subwords that these words give
    folder = tmp_path / "captions"
    folder.mkdir()
    made, generator = Corpus("captions", folder), np.random.default_rng(1)
    words = ["ab", "bc", "abc", "cab", "bacab"]
    for split, side in MULTI30K_FILES:
        lines = [" ".join(generator.choice(words, generator.integers(3, 9))) for _ in range(300)]
        made.text(split, side).write_text("".join(f"{line}\n" for line in lines))
    recipe = {"run": "run", **data_sections(made), "model": {"architecture": "transformer"}}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    prepare(load_recipe(folder / "recipe.yaml"), None, ALL_WORK, num_processes=1)
    write_pieces(made)
    return made


def test_exported_pieces_equal_the_training_text(corpus: Corpus) -> None:
    prepared = open_prepared(load_recipe(corpus.folder / "recipe.yaml"))
    pieces = corpus.pieces("train", "target").read_text().split("\n")[:-1]

    assert from_pieces(prepared.tokenizer, pieces) == corpus.text("train", "target").read_text().split("\n")[:-1]
    assert mean_length(corpus) == pytest.approx(np.mean([len(line.split()) + 1 for line in pieces]))
    assert {piece for line in pieces for piece in line.split()} <= set(corpus.vocabulary.read_text().split("\n"))


def test_count_cores() -> None:
    assert [count_cores(cores) for cores in ("0", "0,3", "0-3", "0-3,8,10-11")] == [1, 2, 4, 7]


def test_training_is_measured_and_ended(tmp_path: Path) -> None:
    program = "import time\nfor n in range(10**6): print((n + 1) * 100, flush=True); time.sleep(0.1)"
    log = tmp_path / "log"

    with Child([sys.executable, "-c", program], "0", log) as child:
        speed = measure(child, log, lambda line, _: int(line), seconds=0.5)

    assert 50 < speed.tokens / speed.wall < 1100, "a thousand a second, unless the machine is busy"
    assert 0 < speed.first_report < speed.wall + 60
    assert 2**20 < speed.peak_memory < 2**30
    length = log.stat().st_size
    time.sleep(0.3)
    assert log.stat().st_size == length


def test_stopped_benchmark_ends_its_children(tmp_path: Path) -> None:
    program = "import time\nwhile True: print('x', flush=True); time.sleep(0.05)"
    log = tmp_path / "log"

    with pytest.raises(KeyboardInterrupt), Child([sys.executable, "-c", program], "0", log):
        time.sleep(0.5)
        raise KeyboardInterrupt

    length = log.stat().st_size
    time.sleep(0.3)
    assert log.stat().st_size == length


def test_failed_command_shows_the_end_of_its_log(tmp_path: Path) -> None:
    with pytest.raises(ChildError, match=r"exited with 3[^\n]*\n  no such thing"):
        run([sys.executable, "-c", "print('no such thing'); raise SystemExit(3)"], "0", tmp_path / "log")


def test_news_has_whole_words_in_lines_of_drawn_lengths(corpus: Corpus, tmp_path: Path) -> None:
    made = news(corpus, tmp_path / "news", "0", pairs=400)

    lengths = [len(line.split()) for line in made.pieces("train", "source").read_text().split("\n")[:-1]]
    assert max(lengths) <= NEWS_LONGEST
    assert 25 < np.mean(lengths) < 35
