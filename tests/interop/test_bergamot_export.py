"""Exports to Bergamot have the layout of its .bin files, and the same subwords."""

import shutil
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from exported_models import export, exported
from foreign_models import LINES
from sentencepiece import SentencePieceProcessor
from test_marian_export import KINDS, POST_NORM, deterministic

from nmt_cli.commands.export import export as export_command
from nmt_cli.commands.import_model import import_model
from nmt_cli.data.arrays import RaggedArray
from nmt_cli.data.shortlist import Shortlist
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.errors import ModelError
from nmt_cli.interop.exporting import bergamot
from nmt_cli.interop.exporting.bergamot import activation_scales
from nmt_cli.interop.exporting.model import ExportedModel
from nmt_cli.interop.exporting.verification import run_example
from nmt_cli.models.contract import DecoderInput, ModelInputs

STUDENT = Path(__file__).parents[3] / "shared" / "artefacts" / "marian_student"
HELD_OUT = (LINES, LINES)


class Stored(NamedTuple):
    """A tensor of a .bin file."""

    kind: int
    shape: tuple[int, ...]
    content: bytes


def read_binary(path: Path) -> dict[str, Stored]:
    """Read a .bin file as Marian does: little-endian, version 1, each tensor at a multiple of 256 bytes."""
    content, position = path.read_bytes(), 16
    version, count = struct.unpack_from("<QQ", content)
    assert version == 1
    headers = [struct.unpack_from("<4Q", content, position + 32 * i) for i in range(count)]
    position += 32 * count
    names, shapes, found = [], [], {}
    for length, _, _, _ in headers:
        names.append(content[position : position + length - 1].decode())
        assert content[position + length - 1] == 0
        position += length
    for _, _, rank, _ in headers:
        shapes.append(struct.unpack_from(f"<{rank}i", content, position))
        position += 4 * rank
    position += 8 + struct.unpack_from("<Q", content, position)[0]
    for name, shape, (_, kind, _, size) in zip(names, shapes, headers, strict=True):
        assert position % 256 == size % 256 == 0
        found[name] = Stored(kind, shape, content[position : position + size])
        position += size
    assert position == len(content)
    return found


@pytest.fixture(scope="module")
def each(tokenizer: Tokenizer) -> ExportedModel:
    return exported(deterministic(tokenizer, **KINDS["ssru"]), tokenizer, held_out=HELD_OUT)


@pytest.fixture(scope="module")
def folder(each: ExportedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bergamot")
    export(each, "bergamot", path)
    return path


def test_quantised_matrices_are_those_of_the_exact_file(folder: Path) -> None:
    exact, quantised = (read_binary(folder / name) for name in ("model.bin", "model.intgemm.alphas.bin"))
    assert {stored.kind for name, stored in exact.items() if name != "special:model.yml"} == {0x404}
    for name, stored in exact.items():
        if quantised[name].kind != 0x4101:
            assert quantised[name] == stored
            continue
        rows, columns = stored.shape
        matrix = np.frombuffer(stored.content, "<f4")[: rows * columns].reshape(rows, columns)
        integers = np.frombuffer(quantised[name].content, np.int8)[: rows * columns]
        (factor,) = struct.unpack_from("<f", quantised[name].content, rows * columns)
        assert factor == pytest.approx(127 / np.abs(matrix).max())
        # Matrices are stored transposed, embeddings are not.
        stored_matrix = integers.reshape(rows, columns) if name == "Wemb" else integers.reshape(columns, rows).T
        assert np.abs(stored_matrix / factor - matrix).max() <= 0.5001 / factor
        assert quantised[f"{name}_QuantMultA"].shape == (1, 1)
    assert "none_QuantMultA" in quantised
    assert quantised.keys() - exact.keys() == {name for name in quantised if name.endswith("_QuantMultA")}


def test_rows_follow_the_ids_of_the_vocabulary(each: ExportedModel, folder: Path) -> None:
    processor = SentencePieceProcessor(model_file=str(folder / "vocab.spm"))
    assert (processor.eos_id(), processor.unk_id()) == (0, 1)
    stored = read_binary(folder / "model.bin")["Wemb"]
    rows = np.frombuffer(stored.content, "<f4")[: 80 * 32].reshape(stored.shape)
    embeddings = each.model.get_parameter("embeddings.target.weight").detach().numpy()
    for line, ids in zip(LINES, each.tokenizer.encode_source(LINES), strict=True):
        assert np.array_equal(rows[processor.encode(line)], embeddings[ids])


def test_scales_are_those_of_the_largest_activations(each: ExportedModel) -> None:
    scales = activation_scales(each, HELD_OUT)
    special, largest = each.tokenizer.special_tokens, 0.0
    with torch.inference_mode():
        for ids in each.tokenizer.encode_source(LINES):
            encoded = each.model.encode(ModelInputs.from_ids(torch.tensor([[*ids, special.eos]])))
            output = each.model.decode(encoded, DecoderInput(torch.tensor([[special.decoder_start, *ids]])))
            largest = max(largest, float(output.hidden_states.abs().max()))
    assert scales["none"] == scales["Wemb"] == pytest.approx(127 / largest)
    assert scales["decoder_l1_rnn_W"] == scales["decoder_l1_rnn_Wf"] != scales["decoder_l2_rnn_W"]
    assert len(scales) == 2 + 2 * 6 + 2 * 8  # encoder layers have 6 matrices, decoder layers 8


@pytest.fixture(scope="module")
def with_shortlist(each: ExportedModel) -> ExportedModel:
    size = each.tokenizer.target_size
    rows = RaggedArray(2 * np.arange(size + 1), np.stack([np.arange(size), np.arange(size)[::-1]], 1).flatten())
    return replace(each, shortlist=Shortlist(rows, np.array([9, 7, 1, 8]), size))


def test_shortlist_refers_to_rows(
    with_shortlist: ExportedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bergamot, "_MIN_SHORTLIST_VOCABULARY", 80)
    shortlist, special = with_shortlist.shortlist, with_shortlist.tokenizer.special_tokens
    assert shortlist is not None
    export(with_shortlist, "bergamot", tmp_path)
    content = (tmp_path / "lex.s2t.bin").read_bytes()
    magic, _, num_first, best, num_offsets, num_targets = struct.unpack_from("<6Q", content)
    offsets = np.frombuffer(content, "<u8", num_offsets, 48)
    targets = np.frombuffer(content, "<u4", num_targets, 48 + 8 * num_offsets)
    assert len(content) == 48 + 8 * num_offsets + 4 * num_targets
    assert (magic, num_first, best, num_offsets) == (0xF11A48D5013417F5, 5, 2, shortlist.target_size + 1)
    embeddings = with_shortlist.model.get_parameter("embeddings.target.weight").detach().numpy()
    stored = read_binary(tmp_path / "model.bin")["Wemb"]
    rows = np.frombuffer(stored.content, "<f4")[: embeddings.size].reshape(embeddings.shape)
    ids = [int(np.flatnonzero((embeddings == row).all(1))[0]) for row in rows]  # nmt's, of each row
    assert ids[:5] == [special.eos, special.unk, 9, 7, 8]
    for row, source in enumerate(ids):
        found = targets[int(offsets[row]) : int(offsets[row + 1])]
        assert sorted(found) == found.tolist()
        assert {ids[target] for target in found} == set(shortlist.translations[source].tolist())
    assert 'shortlist: ["lex.s2t.bin", false]' in (tmp_path / "config.yml").read_text()


def test_small_vocabulary_gets_no_shortlist(with_shortlist: ExportedModel, folder: Path, tmp_path: Path) -> None:
    export(with_shortlist, "bergamot", tmp_path)
    assert not (tmp_path / "lex.s2t.bin").exists()
    for name in ("config.yml", "model.bin", "README.md"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_firefox_reads_the_shortlist(
    with_shortlist: ExportedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("fxtranslate")
    monkeypatch.setattr(bergamot, "_MIN_SHORTLIST_VOCABULARY", 80)
    assert "verified with fxtranslate" in export(with_shortlist, "bergamot", tmp_path, HELD_OUT)
    (tmp_path / "lex.s2t.bin").write_bytes((tmp_path / "lex.s2t.bin").read_bytes()[:-4])
    with pytest.raises(ModelError, match=r"out of range|shortlist"):
        run_example(tmp_path, LINES)


@pytest.mark.skipif(not STUDENT.is_dir(), reason=f"{STUDENT}, a model with Marian's .bin file, is missing")
def test_files_equal_those_of_marian_byte_by_byte(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    for name in ("student.npz", "vocab.fripa.spm"):
        shutil.copyfile(STUDENT / name, tmp_path / "source" / name)
    (tmp_path / "source" / "decoder.yml").write_text("vocabs: [vocab.fripa.spm, vocab.fripa.spm]\n")
    import_model(tmp_path / "source", tmp_path / "model")
    lines = STUDENT / "input.fr"
    export_command(tmp_path / "model", "bergamot", tmp_path / "exported", (lines, lines))
    for ours, theirs in (
        ("model.bin", "student.marian-convert.f32.bin"),
        ("model.intgemm.alphas.bin", "student.intgemm8.alphas.bin"),
    ):
        found, expected = read_binary(tmp_path / "exported" / ours), read_binary(STUDENT / theirs)
        assert list(found) == list(expected)
        for name, stored in found.items():
            if name != "special:model.yml" and not name.endswith("_QuantMultA"):
                assert stored == expected[name]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tied_embeddings": "decoder"}, "model.tied_embeddings: all"),
        ({"norm": {"position": "pre", "epsilon": 1e-9}}, "model.norm.position: pre"),
        ({"positions": {"spacing": "paper"}}, "model.positions: spacing paper"),
    ],
)
def test_what_bergamot_lacks_is_refused_by_recipe_key(
    changes: dict[str, Any], message: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    each = exported(deterministic(tokenizer, **changes), tokenizer, held_out=HELD_OUT)
    with pytest.raises(ModelError, match=message):
        export(each, "bergamot", tmp_path)


def test_tags_and_missing_lines_are_refused(tokenizer: Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="--held-out"):
        export(exported(deterministic(tokenizer, norm=POST_NORM), tokenizer), "bergamot", tmp_path)
    tagged: Tokenizer = tokenizer.with_tags(["2de"])
    with pytest.raises(ModelError, match="tags before lines: 2de"):
        export(exported(deterministic(tagged, norm=POST_NORM), tagged, held_out=HELD_OUT), "bergamot", tmp_path)
