"""OpenNMT-py 3: a Transformer or an LSTM of the same size with random weights."""

from typing import Any

import onmt.opts
import torch
from onmt.inputters.inputter import dict_to_vocabs
from onmt.model_builder import build_base_model
from onmt.translate import GNMTGlobalScorer
from onmt.translate.translator import Translator
from onmt.utils.parse import ArgumentParser

from benchmarks.decoders.answering import PAD, Decode, Rows, serve


def load(settings: dict[str, Any]) -> Decode:
    options = ArgumentParser.defaults(onmt.opts.model_opts)
    vars(options).update(_options(settings["size"]))
    ArgumentParser.update_model_opts(options)
    names = ["<blank>", "<unk>", "<s>", "</s>", *(f"word{number}" for number in range(4, settings["words"]))]
    vocabularies = dict_to_vocabs({"data_task": "seq2seq", "src": names, "tgt": names})
    torch.manual_seed(1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = build_base_model(options, vocabularies)
    for weight in model.parameters():  # some are uninitialised memory
        torch.nn.init.normal_(weight, std=0.02)
    model.eval().to(device)

    def decode(rows: Rows, length: int, beam: int) -> None:
        rows = sorted(rows, key=len, reverse=True)
        lengths = [len(row) for row in rows]
        tokens = torch.tensor([row + [PAD] * (lengths[0] - len(row)) for row in rows], device=device)
        translator = Translator(
            model,
            vocabularies,
            gpu=0 if device == "cuda" else -1,
            beam_size=beam,
            min_length=length,
            max_length=length,
            max_length_ratio=0,
            global_scorer=GNMTGlobalScorer(1.0, 0.0, "avg", "none"),
        )
        batch = {"src": tokens.unsqueeze(2), "srclen": torch.tensor(lengths, device=device)}
        found = translator.translate_batch(batch, attn_debug=False)["predictions"]
        assert all(len(hypotheses[0]) == length for hypotheses in found)

    return decode


def _options(size: dict[str, Any]) -> dict[str, Any]:
    shape = {
        "model_task": "seq2seq",
        "hidden_size": size["width"],
        "enc_layers": size["encoder_layers"],
        "dec_layers": size["decoder_layers"],
        "layers": -1,
        "share_embeddings": True,
        "freeze_word_vecs_enc": False,
        "freeze_word_vecs_dec": False,
        "optim": "adam",
        "parallel_mode": "data_parallel",
        "world_size": 1,
        "dropout": [0.0],
        "attention_dropout": [0.0],
    }
    if size["architecture"] == "rnn":
        return {
            **shape,
            "encoder_type": "brnn",
            "decoder_type": "rnn",
            "rnn_type": "LSTM",
            "word_vec_size": size["embedding_width"],
            "global_attention": "mlp",
            "input_feed": int(size["input_feeding"]),
        }
    return {
        **shape,
        "encoder_type": "transformer",
        "decoder_type": "transformer",
        "position_encoding": True,
        "word_vec_size": size["width"],
        "heads": size["heads"],
        "transformer_ff": size["feed_forward"],
        "share_decoder_embeddings": True,
    }


if __name__ == "__main__":
    serve(load)
