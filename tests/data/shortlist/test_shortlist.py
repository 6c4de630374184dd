"""The file of a shortlist: complete, of the right vocabulary, or refused."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from nmt_cli.data.arrays import RaggedArray
from nmt_cli.data.shortlist import Shortlist
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.errors import ModelError
from nmt_cli.recipe.data import TokenizerSettings


def new_tokenizer(text: str) -> Tokenizer:
    settings = TokenizerSettings.model_validate({"algorithm": "word", "byte_fallback": False})
    return Tokenizer.train(settings, [text] * 9, [text] * 9, seed=1)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return new_tokenizer("ab cd ef")


@pytest.fixture
def path(tokenizer: Tokenizer, tmp_path: Path) -> Path:
    size = tokenizer.source_size
    translations = RaggedArray(np.arange(size + 1), np.arange(size)[::-1])
    Shortlist(translations, np.array([5]), tokenizer.target_size).save(tmp_path / "shortlist.safetensors", tokenizer)
    return tmp_path / "shortlist.safetensors"


def test_file_is_read_as_it_was_written(path: Path, tokenizer: Tokenizer) -> None:
    shortlist = Shortlist.load(path, tokenizer)

    last = tokenizer.target_size - 1
    assert shortlist.target_tokens([[0], [1, 0]], [3]).tolist() == sorted({3, 5, last, last - 1})


def test_shortlist_of_another_vocabulary_is_refused(path: Path) -> None:
    with pytest.raises(ModelError, match="is the shortlist of another vocabulary"):
        Shortlist.load(path, new_tokenizer("gh ij kl"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("frequent", np.array([-1], np.int32)),
        ("frequent", np.array([1000], np.int32)),
        ("frequent", np.array([5.0], np.float32)),
        ("frequent", np.array([[5]], np.int32)),
        ("frequent", np.array(5, np.int32)),
        ("translations", np.array([5], np.int32)),
        ("offsets", np.array([0, 1], np.int64)),
        ("offsets", np.array([], np.int64)),
        ("offsets", None),
        ("more", np.array([5], np.int32)),
    ],
)
def test_damaged_arrays_are_refused(path: Path, tokenizer: Tokenizer, name: str, value: np.ndarray | None) -> None:
    arrays = load_file(path) | {name: value}
    save_file(
        {key: each for key, each in arrays.items() if each is not None}, path, {"tokenizer": tokenizer.fingerprint}
    )

    with pytest.raises(ModelError, match=r"shortlist\.safetensors: is not a shortlist"):
        Shortlist.load(path, tokenizer)


def test_offsets_never_fall(path: Path, tokenizer: Tokenizer) -> None:
    arrays = load_file(path)
    arrays["offsets"][1] = 2**40
    save_file(arrays, path, {"tokenizer": tokenizer.fingerprint})

    with pytest.raises(ModelError, match="is not a shortlist"):
        Shortlist.load(path, tokenizer)


@pytest.mark.parametrize("content", [b"", b"\xff" * 40, b"\x02\0\0\0\0\0\0\0{}", b'\x09\0\0\0\0\0\0\0{"a": []}'])
def test_file_that_is_not_safetensors_is_refused(path: Path, tokenizer: Tokenizer, content: bytes) -> None:
    path.write_bytes(content)

    with pytest.raises(ModelError, match=r"^[^\n]*shortlist\.safetensors: [^\n]*$"):
        Shortlist.load(path, tokenizer)
