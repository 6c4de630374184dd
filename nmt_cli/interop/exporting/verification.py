"""Verification that an export gives what nmt gives, by the program that it is for."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.vocabulary import Vocabulary
from nmt_cli.errors import ModelError
from nmt_cli.interop.exporting.model import ExportedModel, TargetProgram
from nmt_cli.models.contract import DecoderInput, Model, ModelInputs
from nmt_cli.text.normalization import is_blank

ODD_LINES = (
    "A line to translate.", "  two  spaces ", "\u200ba\u200bb\u200b", "\ufeffa\ufeffb", "\x01a\x01b\tc", "▁a▁b",
    "a\xa0b\u3000c", "10² ½ ﬁ Ａ，。", "e\u0301 é \u09dc กำ", "„a“ ‘b’ – ''c'' ( d ) 5 %",
    "👩\u200d👧 <unk> </s> <0x0A>", "",
)  # fmt: skip
"""Lines on which normalisations and tokenizers differ."""
_NUM_RANDOM, _MAX_RANDOM_LENGTH = 10, 24
_NUM_PAIRS, _NUM_LINES = 50, 200
MAX_DIFFERENCE = 1e-4
"""Of log-probabilities: more than rounding, much less than the effect of any parameter."""
_MAX_SECONDS = 3600
_PATH = "import sys; sys.path.append('')"  # for the export's own normalization.py
_INPUT = "json.load(sys.stdin)"
_RUN = "import json, sys; print(json.dumps({}))"

Translate = Callable[[list[str]], list[str]]


@dataclass(frozen=True)
class Verification:
    """How well the program that an export is for agrees with nmt."""

    program: str
    """With its version."""
    num_pairs: int
    max_difference: float | None
    """Of the log-probabilities of tokens; None if the program cannot compute them."""
    num_lines: int
    num_equal: int
    """Lines with equal translations."""

    def __str__(self) -> str:
        found = f"tokens of {self.num_lines + len(ODD_LINES)} lines are equal"
        if self.max_difference is not None:
            found += (
                f", log-probabilities of {self.num_pairs} pairs differ by at most {self.max_difference:.1e},"
                f" {self.num_equal} of {self.num_lines} translations are equal"
            )
        else:
            found += f", {self.num_equal} of {self.num_lines} translations are equal"
        return f"verified with {self.program}: {found}"


def verify(
    exported: ExportedModel,
    program: TargetProgram,
    name: str,
    folder: Path,
    held_out: tuple[Sequence[str], Sequence[str]] | None,
    translate: Translate,
    max_difference: float = MAX_DIFFERENCE,
) -> Verification:
    """Compare an export with its model: tokens, log-probabilities, and the translations of the model card's example.

    Args:
        program: The program, with the export loaded.
        name: The program's name and version.
        held_out: Parallel lines. Without them, lines are made of random tokens.
        translate: Translates as the export should. It may change the model, which is not used afterwards.
        max_difference: Of the log-probability of a token.

    Raises:
        ModelError: Tokens or log-probabilities differ, or the example fails.
    """
    sources, targets = _random_lines(exported) if held_out is None else held_out
    pairs = [pair for pair in zip(sources, targets, strict=True) if not any(map(is_blank, pair))][:_NUM_LINES]
    sources, targets = ([pair[side] for pair in pairs] for side in range(2))
    tokenizer = exported.tokenizer
    _check_tokens(exported, program, [*ODD_LINES, *sources])
    rows = tokenizer.encode_source(list(sources)), tokenizer.encode_target(list(targets))
    fitting = [pair for pair in zip(*rows, strict=True) if max(map(len, pair)) <= exported.longest_sentence]
    fitting = [*fitting[:_NUM_PAIRS], *random_pairs(exported.tokenizer)]
    difference = _score_difference(exported, program, fitting, max_difference)
    lines = [line for line, row in zip(sources, rows[0], strict=True) if len(row) <= exported.longest_sentence]
    theirs = run_example(folder, lines)
    ours = translate(lines)
    num_equal = sum(own == other for own, other in zip(ours, theirs, strict=True))
    return Verification(name, len(fitting), difference, len(lines), num_equal)


def run_example(folder: Path, lines: Sequence[str], call: str = "translate({})") -> list[str]:
    """Translate lines by `translate` of the example in an export's model card, in a process of its own.

    Args:
        call: The function that is called, with a place for the lines.
    """
    example = (folder / "README.md").read_text("utf-8").partition("```python\n")[2].partition("```")[0]
    finished = subprocess.run(
        [sys.executable, "-P", "-c", f"{_PATH}\n{example}\n{_RUN.format(call.format(_INPUT))}"],
        input=json.dumps(list(lines)),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_MAX_SECONDS,
        check=False,
    )
    if finished.returncode:
        reason = finished.stderr.strip().rpartition("\n")[2]
        raise ModelError(f"the example of the export's README.md fails: {reason}")
    translations: list[str] = json.loads(finished.stdout.strip("\n").rpartition("\n")[2])
    return translations


def _check_tokens(exported: ExportedModel, program: TargetProgram, lines: list[str]) -> None:
    tokenizer, unk = exported.tokenizer, exported.tokenizer.special_tokens.unk
    in_target = [row if unk not in row else [] for row in tokenizer.encode_target(lines)]
    for line, expected, row in zip(lines, tokenizer.encode_source(lines), program.encode_source(lines), strict=True):
        if row != expected:
            raise ModelError(f"the tokenizer cannot be exported: {line!r} is split otherwise by the export")
    texts = program.decode_target(in_target)
    for line, expected_text, text in zip(lines, tokenizer.decode_target(in_target), texts, strict=True):
        if text != expected_text:
            raise ModelError(f"the tokenizer cannot be exported: {line!r} becomes {text!r} in the export")


@torch.inference_mode()
def _score_difference(
    exported: ExportedModel,
    program: TargetProgram,
    pairs: Sequence[tuple[list[int], list[int]]],
    max_difference: float,
) -> float | None:
    """Return the largest difference of the log-probabilities of tokens; ModelError if it exceeds the maximum."""
    sources, targets = ([pair[side] for pair in pairs] for side in range(2))
    found = program.score(sources, targets)
    if found is None:
        return None
    expected = [_log_probs(exported, source, target) for source, target in pairs]
    return check_scores(expected, found, max_difference)


def check_scores(
    expected: Sequence[torch.Tensor], found: Sequence[Sequence[float]], max_difference: float = MAX_DIFFERENCE
) -> float:
    """Return the largest difference of the log-probabilities of tokens; ModelError if it exceeds the maximum."""
    largest = 0.0
    for ours, theirs in zip(expected, found, strict=True):
        if len(ours) != len(theirs):
            raise ModelError(f"the export scores {len(theirs)} tokens of a translation of {len(ours)}")
        difference = float((ours - torch.tensor(theirs)).abs().max())
        if not difference <= max_difference:
            raise ModelError(
                f"the export differs from the model by {difference:.2g} in the log-probability of a token; please"
                " report the recipe's section `model`"
            )
        largest = max(largest, difference)
    return largest


def _log_probs(exported: ExportedModel, source: list[int], target: list[int]) -> torch.Tensor:
    """Return the log-probabilities of the tokens of a target and of eos."""
    row = [*exported.source_prefix, *source, *exported.after_source]
    return log_probs(exported.model, row, exported.prompt, target)


def log_probs(model: Model, row: Sequence[int], before: Sequence[int], target: Sequence[int]) -> torch.Tensor:
    """Return the log-probabilities [T+1] of the tokens of a target and of eos.

    Args:
        row: The source with all its special tokens; a language model has none.
        before: Target tokens before the target, decoder_start included.
    """
    device = next(model.parameters()).device
    has_source = model.capabilities.source != "none"
    encoded = model.encode(ModelInputs.from_ids(torch.tensor([row], device=device)) if has_source else ModelInputs(1))
    decoded = model.decode(encoded, DecoderInput(torch.tensor([[*before, *target]], device=device)))
    chosen = model.logits(decoded).float().log_softmax(-1).cpu()[len(before) - 1 :]
    return chosen[range(len(target) + 1), [*target, model.vocabulary.special_tokens.eos]]


def random_pairs(tokenizer: Tokenizer) -> list[tuple[list[int], list[int]]]:
    """Return sentences of random tokens, of one token and more."""
    rng = torch.Generator().manual_seed(1)
    kept = _ordinary(tokenizer.source), _ordinary(tokenizer.target)

    def row(ids: list[int], length: int) -> list[int]:
        return [ids[index] for index in torch.randint(len(ids), (length,), generator=rng).tolist()]

    lengths = [1 + i * (_MAX_RANDOM_LENGTH - 1) // (_NUM_RANDOM - 1) for i in range(_NUM_RANDOM)]
    return [(row(kept[0], length), row(kept[1], length)) for length in lengths]


def _random_lines(exported: ExportedModel) -> tuple[list[str], list[str]]:
    """Return the texts of random tokens."""
    tokenizer, sides = exported.tokenizer, list[list[str]]()
    for seed, side in enumerate((tokenizer.source, tokenizer.target)):
        rng = torch.Generator().manual_seed(seed)
        pieces = torch.tensor(_ordinary(side))
        lengths = torch.randint(1, _MAX_RANDOM_LENGTH, (2 * _NUM_LINES,), generator=rng).tolist()
        rows = [pieces[torch.randint(len(pieces), (length,), generator=rng)].tolist() for length in lengths]
        sides.append(list(map(tokenizer.normalize, side.decode(rows))))
    return sides[0], sides[1]


def _ordinary(side: Vocabulary) -> list[int]:
    """Return the ids of the entries that are neither special tokens nor tags."""
    others = side.special_tokens.ids | set(side.tags.values())
    return [i for i in range(len(side)) if i not in others]
