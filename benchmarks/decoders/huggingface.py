"""Hugging Face transformers: MarianMT of the same size with random weights."""

from typing import Any

import torch
from transformers import MarianConfig, MarianMTModel

from benchmarks.decoders.answering import END, PAD, Decode, Rows, serve


def load(settings: dict[str, Any]) -> Decode:
    size = settings["size"]
    torch.manual_seed(1)
    config = MarianConfig(
        vocab_size=settings["words"],
        d_model=size["width"],
        encoder_layers=size["encoder_layers"],
        decoder_layers=size["decoder_layers"],
        encoder_ffn_dim=size["feed_forward"],
        decoder_ffn_dim=size["feed_forward"],
        encoder_attention_heads=size["heads"],
        decoder_attention_heads=size["heads"],
        activation_function="relu",
        scale_embedding=True,
        pad_token_id=PAD,
        eos_token_id=END,
        forced_eos_token_id=None,
        decoder_start_token_id=PAD,
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = MarianMTModel(config).eval().to(device)

    @torch.inference_mode()
    def decode(rows: Rows, length: int, beam: int) -> None:
        longest = max(map(len, rows))
        tokens = torch.tensor([row + [PAD] * (longest - len(row)) for row in rows], device=device)
        mask = (tokens != PAD).long()
        made = model.generate(
            tokens, attention_mask=mask, num_beams=beam, do_sample=False, min_new_tokens=length, max_new_tokens=length
        )
        assert all(len(row) == length + 1 for row in made.tolist())

    return decode


if __name__ == "__main__":
    serve(load)
