"""Memory and time of importing, and translating with, a random model of the shape of NLLB-600M (2.3 GiB in fp32)."""

import json
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


MEASURE = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def run(*arguments: str, text: str = "") -> tuple[float, int]:
    """Run nmt; return its seconds and its peak memory in KiB.

    A small process starts it: Linux counts the peak of the process that starts another one as that of the other, too,
    and this one has made a large model.
    """
    started = time.monotonic()
    command = [sys.executable, "-c", MEASURE, sys.executable, "-m", "nmt_cli", *arguments]
    finished = subprocess.run(command, input=text, stdout=subprocess.PIPE, text=True, check=True)
    return time.monotonic() - started, int(finished.stdout)


def test_memory_is_that_of_the_process_alone() -> None:
    """Its parent's peak is larger than its own."""
    peak = torch.ones(2**28)
    assert peak.numel() * 4 == 1 * GIB * 2**10
    assert run("--version")[1] < 0.5 * GIB


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
