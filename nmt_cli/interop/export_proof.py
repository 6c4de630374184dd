"""Proof that an exported model gives what nmt gives: the same tokens, text and probabilities."""

import runpy
from pathlib import Path

import sentencepiece
import torch

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.errors import ModelError
from nmt_cli.models.contract import DecoderInput, Model, ModelInputs

_LINES = (
    "A line to translate.", "  two  spaces ", "\u200ba\u200bb\u200b", "\ufeffa\ufeffb", "\x01a\x01b\tc", "▁a▁b",
    "a\xa0b\u3000c", "10² ½ ﬁ Ａ，。", "e\u0301 é \u09dc กำ", "„a“ ‘b’ – ''c'' ( d ) 5 %",
    "👩\u200d👧 <unk> </s> <0x0A>", "",
)  # fmt: skip
"""Lines on which normalisations and tokenizers differ."""
_LENGTHS = (1, 4, 9)
"""Of the sentences whose probabilities are compared."""
_MAX_DIFFERENCE = 0.02
"""Of log-probabilities: much more than rounding, much less than the effect of any parameter."""


def prove_text(folder: Path, tokenizer: Tokenizer, source_names: list[str], target_names: list[str]) -> None:
    """Raise ModelError unless the normalisation and SentencePiece models of an export agree with the tokenizer.

    Args:
        source_names: Name of each source token in the export.
        target_names: Name of each target token in the export.
    """
    normalize = runpy.run_path(str(folder / "normalization.py"))["NORMALIZATIONS"][tokenizer.normalization]
    source, target = (
        sentencepiece.SentencePieceProcessor(model_file=str(folder / name)) for name in ("source.spm", "target.spm")
    )
    ids, unk = {name: token for token, name in enumerate(source_names)}, tokenizer.special_tokens.unk
    for line in _LINES:
        pieces = source.encode(normalize(line), out_type=str)
        [in_source], [in_target] = tokenizer.encode_source([line]), tokenizer.encode_target([line])
        text = target.decode([target_names[token] for token in in_target])
        is_equal = [ids.get(piece, unk) for piece in pieces] == in_source
        if not is_equal or (unk not in in_target and [text] != tokenizer.decode_target([in_target])):
            raise ModelError(f"the tokenizer cannot be exported: its SentencePiece model splits {line!r} otherwise")


@torch.inference_mode()
def prove_scores(folder: Path, model: Model, source_names: list[str], target_names: list[str]) -> None:
    """Raise ModelError unless CTranslate2 gives some random sentences the log-probabilities of the model.

    Args:
        source_names: Name of each source token in the export.
        target_names: Name of each target token in the export.
    """
    import ctranslate2

    special, rng = model.vocabulary.special_tokens, torch.Generator().manual_seed(1)
    sources, targets = (
        [_random_tokens(len(names), special.ids, length, rng) for length in _LENGTHS]
        for names in (source_names, target_names)
    )
    found = ctranslate2.Translator(str(folder), compute_type="float32").score_batch(
        [[source_names[token] for token in row] for row in sources],
        [[target_names[token] for token in row] for row in targets],
    )
    device = next(model.parameters()).device
    for source, target, theirs in zip(sources, targets, found, strict=True):
        encoded = model.encode(ModelInputs.from_ids(torch.tensor([[*source, special.eos]], device=device)))
        prefix = torch.tensor([[special.decoder_start, *target]], device=device)
        scores = model.logits(model.decode(encoded, DecoderInput(prefix))).float().log_softmax(-1).cpu()
        ours = scores[range(len(target) + 1), [*target, special.eos]]
        difference = float((ours - torch.tensor(theirs.log_probs)).abs().max())
        if not difference <= _MAX_DIFFERENCE:
            raise ModelError(
                f"the export differs from the model by {difference:.2g} in the log-probability of a token; please"
                " report the recipe's section `model`"
            )


def _random_tokens(size: int, special: frozenset[int], length: int, rng: torch.Generator) -> list[int]:
    ordinary = [token for token in range(size) if token not in special]
    return [ordinary[index] for index in torch.randint(len(ordinary), (length,), generator=rng).tolist()]
