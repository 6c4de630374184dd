"""Memory and time of importing, and translating with, a random model of the shape of NLLB-600M (2.3 GiB in fp32)."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from foreign_models import LINES, marian_shapes, sentencepiece, write_json
from safetensors.torch import save_file

pytestmark = pytest.mark.long
VOCABULARY, WIDTH, LAYERS, FEED_FORWARD = 256_206, 1024, 12, 4096
MIB, GIB = 2**10, 2**20  # in KiB, the unit of ru_maxrss
SPECIAL = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}


def write_model(folder: Path) -> int:
    """Write the model in three parts; return its size in KiB."""
    folder.mkdir()
    (folder / "sentencepiece.bpe.model").write_bytes(sentencepiece(60, model_type="bpe"))
    languages = {"src_lang": "eng_Latn", "tgt_lang": "fra_Latn", "additional_special_tokens": ["eng_Latn", "fra_Latn"]}
    write_json(folder / "tokenizer_config.json", languages)
    sides = {
        f"{side}_{name}": n
        for side in ("encoder", "decoder")
        for name, n in (("layers", LAYERS), ("attention_heads", 16), ("ffn_dim", FEED_FORWARD))
    }
    config = {"model_type": "m2m_100", "d_model": WIDTH, "activation_function": "relu", "scale_embedding": True}
    write_json(folder / "config.json", config | SPECIAL | sides | {"vocab_size": VOCABULARY})
    one = {
        name: shape for name, shape in marian_shapes(VOCABULARY, WIDTH, FEED_FORWARD).items() if "logits" not in name
    }
    norms = {
        f"model.{side}.layer_norm.{kind}": (WIDTH,) for side in ("encoder", "decoder") for kind in ("weight", "bias")
    }
    parts = [{name: shape for name, shape in one.items() if "layers" not in name} | norms]
    for side in ("model.encoder", "model.decoder"):
        layer = {name: shape for name, shape in one.items() if side in name and "layers" in name}
        parts.append({name.replace(".0.", f".{i}."): shape for name, shape in layer.items() for i in range(LAYERS)})
    index = dict[str, str]()
    for number, shapes in enumerate(parts, 1):
        name = f"model-{number}.safetensors"
        save_file(
            {
                key: 0.03 * torch.randn(shape) + float("norm" in key and "weight" in key)
                for key, shape in shapes.items()
            },
            folder / name,
        )
        index |= dict.fromkeys(shapes, name)
    write_json(folder / "model.safetensors.index.json", {"weight_map": index})
    return sum(path.stat().st_size for path in folder.glob("*.safetensors")) // 2**10


def run(*arguments: str, text: str = "") -> tuple[float, int]:
    """Run nmt; return its seconds and its peak memory in KiB."""
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "nmt_cli", *arguments], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert process.stdin is not None
    process.stdin.write(text.encode())
    process.stdin.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return time.monotonic() - started, usage.ru_maxrss


def test_memory_and_time_are_bounded(tmp_path: Path) -> None:
    size = write_model(tmp_path / "source")
    seconds, import_memory = run("import", str(tmp_path / "source"), "-o", str(tmp_path / "model"), "--no-verify")
    memory = {}
    for precision in ("fp32", "int8"):
        settings = [f"decoding.precision={precision}", "decoding.max_length=5", "decoding.check=false"]
        options = [option for setting in settings for option in ("--set", setting)]
        _, memory[precision] = run("translate", str(tmp_path / "model"), *options, text="\n".join(LINES[:3]) + "\n")
    figures = {"import, seconds": round(seconds), "import, GiB": round(import_memory / GIB, 2)}
    print(json.dumps(figures | {f"{name}, GiB": round(kib / GIB, 2) for name, kib in memory.items()}))
    assert import_memory <= size + VOCABULARY * WIDTH * 4 // 2**10 + 400 * MIB
    assert seconds <= 60
    assert memory["fp32"] <= 5.5 * GIB
    assert memory["int8"] <= 3 * GIB
