"""Verify an import: the library that a model is from scores random sentences in a process of its own.

That process reads the folder of the model, runs no code of it and downloads nothing.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata, util
from pathlib import Path
from typing import Any

import torch

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.segmenter import WORD_START
from nmt_cli.data.tokenizing.tags import SourceTags
from nmt_cli.errors import ModelError
from nmt_cli.interop.exporting.marian import vocabulary_yaml
from nmt_cli.interop.exporting.marian_program import word_scores
from nmt_cli.interop.exporting.verification import MAX_DIFFERENCE, log_probs, random_pairs
from nmt_cli.interop.marian import model_file
from nmt_cli.models.contract import Model

_PROGRAMS = {"Hugging Face": "transformers", "CTranslate2": "ctranslate2", "Marian": "pymarian"}
"""Packages, by the first words of the name of a format."""
_MAX_SECONDS = 1800
_MAX_WEIGHTS = 4 * 2**30
"""Bytes of a model's parameters; the program needs as much memory, and perhaps twice as much."""


def program_of(folder: Path, format: str) -> str:
    """Return the name of the program that can verify an import of a folder.

    Raises:
        VerificationSkipped: There is none, it is not installed, or it should not read the folder.
    """
    program = _PROGRAMS.get(format.rpartition(" ")[0] or format)
    if program is None:
        raise VerificationSkipped(f"nmt cannot run the program of {format}")
    if util.find_spec(program) is None:
        raise VerificationSkipped(f"{program} is not installed")
    weights = [path for pattern in ("model*.safetensors", "model.bin", "*.npz") for path in folder.glob(pattern)]
    if not weights:
        raise VerificationSkipped("the model is a pickle, which only nmt reads safely")
    if (size := sum(path.stat().st_size for path in weights)) > _MAX_WEIGHTS:
        raise VerificationSkipped(f"the model has {size / 2**30:.1f} GiB, more than {_MAX_WEIGHTS // 2**30} GiB")
    return program


class VerificationSkipped(Exception):  # noqa: N818
    """An import is not verified, for the reason in the message."""


def verify_import(
    program: str,
    folder: Path,
    open_model: Callable[[], Model],
    tokenizer: Tokenizer,
    tags: SourceTags,
    source_eos: bool,
) -> str:
    """Compare the log-probabilities of some random sentences; return the result for a message.

    Args:
        program: From `program_of`.
        folder: The folder that was imported.
        open_model: Returns the imported model, which is released before the program starts.

    Raises:
        ModelError: A log-probability differs by more than 1e-4.
        VerificationSkipped: The program cannot read the folder.
    """
    special, pairs = tokenizer.special_tokens, random_pairs(tokenizer)
    eos = [special.eos] if source_eos else []
    rows = [[*tags.ids(), *source, *eos, *tags.suffix] for source, _ in pairs]
    before, targets = list(tags.prompt() or [special.decoder_start]), [target for _, target in pairs]
    model = open_model()
    with torch.inference_mode():
        ours = [log_probs(model, row, before, target) for row, target in zip(rows, targets, strict=True)]
    del model
    request = {"folder": str(folder.resolve()), "rows": rows, "before": before, "targets": targets, "eos": special.eos}
    entries = [[*side.entries] for side in (tokenizer.source, tokenizer.target)]
    theirs = _scores(program, {**request, "names": _names(tokenizer, pairs), "entries": entries})
    if [len(row) for row in theirs] != [len(row) for row in ours]:
        raise VerificationSkipped(f"{program} does not score each token")
    difference = max(float((own - torch.tensor(other)).abs().max()) for own, other in zip(ours, theirs, strict=True))
    reference, found = f"{program} {metadata.version(program)}", f"log-probabilities of {sum(map(len, ours))} tokens"
    if not difference <= MAX_DIFFERENCE:
        raise ModelError(f"{folder}: {found} differ from those of {reference} by up to {difference:.2g}")
    return f"verified with {reference}: {found} differ by at most {difference:.1e}"


def _names(tokenizer: Tokenizer, pairs: Sequence[tuple[list[int], list[int]]]) -> list[list[list[str]]]:
    """Return the names of the tokens of all sources, and of all targets, in the other vocabulary."""
    is_word = tokenizer.source.segmenter.name == "word"  # whose ▁ are nmt's own
    entries = [
        [each.removeprefix(WORD_START * is_word) for each in side.entries]
        for side in (tokenizer.source, tokenizer.target)
    ]
    return [[[entries[side][i] for i in pair[side]] for pair in pairs] for side in range(2)]


def _scores(program: str, request: Mapping[str, Any]) -> list[list[float]]:
    try:
        finished = subprocess.run(
            [sys.executable, "-P", "-m", __name__, program],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            timeout=_MAX_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise VerificationSkipped(f"{program} took more than {_MAX_SECONDS} s") from error
    if finished.returncode:
        reason = finished.stderr.strip().rpartition("\n")[2][:300] or f"exit code {finished.returncode}"
        raise VerificationSkipped(f"{program} cannot read the folder ({reason})")
    scores: list[list[float]] = json.loads(finished.stdout.strip("\n").rpartition("\n")[2])
    return scores


@torch.inference_mode()
def _by_transformers(request: Mapping[str, Any]) -> list[list[float]]:
    import transformers

    options = {"trust_remote_code": False, "local_files_only": True}
    has_encoder = transformers.AutoConfig.from_pretrained(request["folder"], **options).is_encoder_decoder
    kind = transformers.AutoModelForSeq2SeqLM if has_encoder else transformers.AutoModelForCausalLM
    model = kind.from_pretrained(request["folder"], use_safetensors=True, dtype=torch.float32, **options).eval()
    before, found = request["before"], []
    for row, target in zip(request["rows"], request["targets"], strict=True):
        ids = torch.tensor([[*before, *target]])
        inputs = {"input_ids": torch.tensor([row]), "decoder_input_ids": ids} if has_encoder else {"input_ids": ids}
        logits = model(**inputs).logits[0]
        chosen = logits[len(before) - 1 :].float().log_softmax(-1)
        found.append(chosen[range(len(target) + 1), [*target, request["eos"]]].tolist())
    return found


def _by_ctranslate2(request: Mapping[str, Any]) -> list[list[float]]:
    import ctranslate2

    translator = ctranslate2.Translator(request["folder"], compute_type="float32")
    return [list(each.log_probs) for each in translator.score_batch(*request["names"])]


def _by_marian(request: Mapping[str, Any]) -> list[list[float]]:
    with tempfile.TemporaryDirectory() as scratch:
        vocabularies = [Path(scratch) / name for name in ("source.yml", "target.yml")]
        for path, entries in zip(vocabularies, request["entries"], strict=True):
            path.write_text(vocabulary_yaml(entries[:-1]), encoding="utf-8")  # the last one is nmt's own pad
        # Marian adds eos itself.
        sources = [[request["entries"][0][i] for i in row[:-1]] for row in request["rows"]]
        return word_scores(model_file(Path(request["folder"]))[0], vocabularies, [sources, request["names"][1]])


if __name__ == "__main__":
    scorers = {"transformers": _by_transformers, "ctranslate2": _by_ctranslate2, "pymarian": _by_marian}
    print(json.dumps(scorers[sys.argv[1]](json.load(sys.stdin))))
