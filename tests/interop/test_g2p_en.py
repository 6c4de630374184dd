"""The GRU of g2p_en gives its phonemes."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from nmt_cli.commands.import_model import import_model
from nmt_cli.commands.loading import load_model
from nmt_cli.commands.translators import create_translator
from nmt_cli.decoding.requests import Request
from nmt_cli.errors import ModelError

EXPECTED = Path(__file__).parents[3] / "shared" / "artefacts" / "g2p_en" / "expected.tsv"
WIDTH, EMBEDDING = 12, 8
Array = npt.NDArray[np.float32]


def write_gru(path: Path) -> dict[str, Array]:
    rng = np.random.default_rng(3)
    shapes: dict[str, tuple[int, ...]] = {"enc_emb": (29, EMBEDDING), "dec_emb": (74, EMBEDDING), "fc_w": (74, WIDTH)}
    shapes["fc_b"] = (74,)
    for side in ("enc", "dec"):
        shapes |= {f"{side}_w_ih": (3 * WIDTH, EMBEDDING), f"{side}_w_hh": (3 * WIDTH, WIDTH)}
        shapes |= {f"{side}_b_ih": (3 * WIDTH,), f"{side}_b_hh": (3 * WIDTH,)}
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    path.mkdir()
    np.savez(path / "checkpoint20.npz", **arrays)
    return arrays


def gru(arrays: dict[str, Array], side: str, inputs: Array, state: Array) -> Array:
    """One step of a GRU (Cho et al. 2014)."""
    by_input = arrays[f"{side}_w_ih"] @ inputs + arrays[f"{side}_b_ih"]
    by_state = arrays[f"{side}_w_hh"] @ state + arrays[f"{side}_b_hh"]
    reset, update = np.split(1 / (1 + np.exp(-(by_input + by_state)[: 2 * WIDTH])), 2)
    new: Array = np.tanh(by_input[2 * WIDTH :] + reset * by_state[2 * WIDTH :])
    return (1 - update) * new + update * state


def greedy(arrays: dict[str, Array], word: str) -> list[int]:
    """Ids of phonemes: those of the file, where pad, unk, bos and eos are 0 to 3; special ones are not generated."""
    state: Array = np.zeros(WIDTH, np.float32)
    for token in [*(3 + ord(letter) - ord("a") if letter in "abcdefghijklmnopqrstuvwxyz" else 1 for letter in word), 2]:
        state = gru(arrays, "enc", arrays["enc_emb"][token], state)
    found, token = list[int](), 2
    while len(found) < 20:
        state = gru(arrays, "dec", arrays["dec_emb"][token], state)
        logits = arrays["fc_w"] @ state + arrays["fc_b"]
        logits[:3] = -np.inf
        token = int(logits.argmax())
        if token == 3:
            break
        found.append(token)
    return found


def test_phonemes_are_those_of_a_gru_in_numpy(tmp_path: Path) -> None:
    arrays = write_gru(tmp_path / "source")
    arrays["fc_b"][3] += 1  # so that some end
    np.savez(tmp_path / "source" / "checkpoint20.npz", **arrays)

    import_model(tmp_path / "source", tmp_path / "model")

    loaded = load_model(tmp_path / "model")
    words, entries = ["word", "a", "xylophone", "it's", "zebra"], loaded.tokenizer.target.entries
    found = [each.best.text for each in create_translator(loaded).translate(map(Request, words))]
    expected = [" ".join(entries[i].removeprefix("▁") for i in greedy(arrays, word)) for word in words]
    assert found == expected
    assert len(set(expected)) > 2


def test_other_npz_is_refused(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    np.savez(tmp_path / "source" / "checkpoint20.npz", weight=np.zeros(3, np.float32))
    with pytest.raises(ModelError, match="g2p_en"):
        import_model(tmp_path / "source", tmp_path / "model")


def test_words_of_the_package_have_its_phonemes(tmp_path: Path) -> None:
    package = find_spec("g2p_en")  # which is not run: it downloads files
    if package is None or package.origin is None or not EXPECTED.is_file():
        pytest.skip(f"the package g2p_en or its outputs, {EXPECTED}, are missing")
    import_model(Path(package.origin).parent, tmp_path / "model")
    rows = [line.split("\t") for line in EXPECTED.read_text("utf-8").splitlines()]
    translator = create_translator(load_model(tmp_path / "model"))
    assert [each.best.text for each in translator.translate([Request(word) for word, _ in rows])] == [
        phonemes for _, phonemes in rows
    ]
