"""Questions about facts."""

import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

sys.path.append(str(Path(__file__).parents[2] / "data_scripts"))

RunScript = Callable[..., CompletedProcess[str]]


def test_answers_are_spans_at_the_links_and_names_are_of_one_set(run_script: RunScript, tmp_path: Path) -> None:
    result = run_script("question_answering.py", "--train", 400, "--valid", 50, "--test", 60, "--to", "out")
    assert result.returncode == 0, result.stderr
    names = dict[str, set[str]]()
    for part, size in (("train", 400), ("valid", 50), ("test", 60)):
        sources, answers, links = (
            (tmp_path / "out" / f"{part}.{side}").read_text().split("\n")[:-1] for side in ("facts", "answer", "links")
        )
        assert len(sources) == len(answers) == len(links) == size
        for source, answer, line in zip(sources, answers, links, strict=True):
            assert source.endswith(" ?")
            assert f" {answer} " in f" {source}"
            found = [tuple(map(int, link.split("-"))) for link in line.split(" ")]
            assert [source.split()[one] for one, _ in found] == answer.split()
            assert [other for _, other in found] == list(range(len(found)))
        names[part] = {word for answer in answers for word in answer.split()}
        others = [word for source in sources for word in source.split()]
        assert names[part] <= set(others)
    train = set((tmp_path / "out" / "train.facts").read_text().split())
    assert train.isdisjoint(names["valid"] | names["test"])
    assert names["valid"].isdisjoint(names["test"])


def test_the_seed_decides_the_text(run_script: RunScript, tmp_path: Path) -> None:
    texts = []
    for seed in (1, 1, 2):
        run_script("question_answering.py", "--train", 5, "--valid", 5, "--test", 5, "--seed", seed, "--to", "out")
        texts.append((tmp_path / "out" / "train.facts").read_text())
    assert texts[0] == texts[1] != texts[2]


def test_a_size_below_one_is_refused(run_script: RunScript) -> None:
    result = run_script("question_answering.py", "--train", 0)
    assert result.returncode == 2
    assert "must be at least 1" in result.stderr
