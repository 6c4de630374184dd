"""fairseq: a Transformer of the same size with random weights."""

from argparse import Namespace
from typing import Any

import torch
from fairseq.data import Dictionary
from fairseq.models.transformer import TransformerModel
from fairseq.models.transformer.transformer_legacy import base_architecture
from fairseq.sequence_generator import SequenceGenerator

from benchmarks.decoders.answering import END, Decode, Rows, serve


def load(settings: dict[str, Any]) -> Decode:
    size = settings["size"]
    dictionary = Dictionary(bos="<s>", pad="<pad>", unk="<unk>", eos="</s>")
    for number in range(4, settings["words"]):
        dictionary.add_symbol(f"word{number}")
    arguments = Namespace(
        encoder_embed_dim=size["width"],
        encoder_ffn_embed_dim=size["feed_forward"],
        encoder_layers=size["encoder_layers"],
        encoder_attention_heads=size["heads"],
        decoder_layers=size["decoder_layers"],
        decoder_attention_heads=size["heads"],
        encoder_normalize_before=True,
        decoder_normalize_before=True,
        share_all_embeddings=True,
    )
    base_architecture(arguments)
    torch.manual_seed(1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = TransformerModel.build_model(
        arguments, Namespace(source_dictionary=dictionary, target_dictionary=dictionary)
    )
    model.eval().to(device)
    model.make_generation_fast_()

    @torch.inference_mode()
    def decode(rows: Rows, length: int, beam: int) -> None:
        generator = SequenceGenerator(
            [model], dictionary, beam_size=beam, min_len=length - 1, max_len_a=0, max_len_b=length - 1
        )
        # fairseq pads sources on the left and has other ids of special tokens.
        longest, pad, end = max(map(len, rows)), dictionary.pad(), dictionary.eos()
        padded = [[pad] * (longest - len(row)) + [end if token == END else token for token in row] for row in rows]
        lengths = torch.tensor([len(row) for row in rows], device=device)
        batch = {"net_input": {"src_tokens": torch.tensor(padded, device=device), "src_lengths": lengths}}
        found = generator.generate([model], batch)
        assert all(len(hypotheses[0]["tokens"]) == length for hypotheses in found)

    return decode


if __name__ == "__main__":
    serve(load)
