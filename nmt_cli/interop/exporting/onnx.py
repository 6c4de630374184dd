"""Export to ONNX, an encoder and a decoder, in the layout of Hugging Face optimum; recurrent models, too."""

import warnings
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nmt_cli import files
from nmt_cli.errors import ModelError, ResourceError
from nmt_cli.interop.exporting.huggingface import generation_config
from nmt_cli.interop.exporting.huggingface.tokenizer import write_tokenizers
from nmt_cli.interop.exporting.model import ExportedModel
from nmt_cli.interop.huggingface.tokenizer_json import TARGET_TOKENIZER
from nmt_cli.models.contract import DecoderInput, ModelInputs
from nmt_cli.models.rnn import Rnn, RnnCache, RnnEncoderOutput
from nmt_cli.models.transformer import Transformer
from nmt_cli.models.transformer.encoder import TransformerEncoderOutput

ENCODER, DECODER = "encoder_model.onnx", "decoder_model.onnx"
_OPSET = 17
_MAX_BYTES = 2**31 - 2**20
"""Maximum size of a file of protobuf."""
_SEQUENCE = {0: "batch_size", 1: "encoder_sequence_length"}
_TARGET = {0: "batch_size", 1: "decoder_sequence_length"}


class _Encoder(nn.Module):
    """input_ids [B,S], attention_mask [B,S] → last_hidden_state [B,S,D], and of a recurrent model initial_state."""

    def __init__(self, model: Transformer | Rnn) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        lengths = attention_mask.sum(1)
        if isinstance(self.model, Rnn):
            encoded = self.model.encode(ModelInputs.from_ids(input_ids, lengths))
            return encoded.hidden_states, encoded.initial
        return (self.model.encode(ModelInputs.from_ids(input_ids, lengths)).hidden_states,)


class _Decoder(nn.Module):
    """encoder_attention_mask [B,S], input_ids [B,T], encoder_hidden_states [B,S,D] → logits [B,T,V]."""

    def __init__(self, model: Transformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, encoder_attention_mask: Tensor, input_ids: Tensor, encoder_hidden_states: Tensor) -> Tensor:
        attn_mask = encoder_attention_mask.bool()[:, None, None, :]
        decoded = self.model.decode(TransformerEncoderOutput(encoder_hidden_states, attn_mask), DecoderInput(input_ids))
        return self.model.logits(decoded).view(*input_ids.shape, -1)


class _RecurrentDecoder(nn.Module):
    """One step: also reads and returns state [L,P,B,D], and input_feed [B,D] of a model with input feeding."""

    def __init__(self, model: Rnn) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        encoder_attention_mask: Tensor,
        input_ids: Tensor,
        encoder_hidden_states: Tensor,
        state: Tensor,
        input_feed: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        attention = self.model.attention
        keys = encoder_hidden_states if attention is None else attention.key(encoder_hidden_states)
        attn_mask = encoder_attention_mask.bool()[:, None, :]
        encoded = RnnEncoderOutput(encoder_hidden_states, keys, attn_mask, state)
        fed = None if input_feed is None else input_feed.unsqueeze(1)
        logits, cache = self.model.step(input_ids, RnnCache(state.unsqueeze(3), fed, encoded))
        new = [cache.states.squeeze(3)]
        return logits, *new, *([] if cache.input_feed is None else [cache.input_feed.squeeze(1)])


class _RmsNorm(nn.Module):
    """nn.RMSNorm in operators that ONNX has."""

    def __init__(self, norm: nn.RMSNorm) -> None:
        super().__init__()
        self.weight, self.epsilon = norm.weight, float(norm.eps or 0)

    def forward(self, hidden_states: Tensor) -> Tensor:
        variance = hidden_states.square().mean(-1, keepdim=True)
        return hidden_states * (variance + self.epsilon).rsqrt() * self.weight


def write(exported: ExportedModel, folder: Path) -> Mapping[str, Any]:
    """Write encoder_model.onnx, decoder_model.onnx, generation_config.json and the tokenizer; see ExportFormat."""
    model = exported.model
    if not isinstance(model, Transformer | Rnn):
        raise ModelError("model.architecture: is not supported by the export to ONNX")
    exported.require_flat_encoder("the export to ONNX")
    if 4 * sum(each.numel() for each in model.parameters()) > _MAX_BYTES:
        raise ModelError("the model has more than 2 GiB of parameters, more than a file of ONNX can hold")
    model = deepcopy(model).cpu().eval()
    for name, module in [*model.named_modules()]:
        if isinstance(module, nn.RMSNorm):
            model.set_submodule(name, _RmsNorm(module))
    ids = torch.full((2, 2), model.vocabulary.special_tokens.eos)  # few tokens, so that products stay torch's own
    mask = torch.tensor([[1, 1], [1, 0]])
    names = ["input_ids", "attention_mask"]
    is_recurrent = isinstance(model, Rnn)
    outputs = ["last_hidden_state", *(["initial_state"] if is_recurrent else [])]
    encoder = _Encoder(model)
    axes = dict.fromkeys([*names, "last_hidden_state"], _SEQUENCE) | {"initial_state": {2: "batch_size"}}
    _export(encoder, (ids, mask), folder / ENCODER, names, outputs, axes)
    hidden_states, *initial = encoder(ids, mask)
    names = ["encoder_attention_mask", "input_ids", "encoder_hidden_states"]
    axes = {names[0]: _SEQUENCE, names[1]: _TARGET, names[2]: _SEQUENCE, "logits": _TARGET}
    if isinstance(model, Rnn):
        feeds = [torch.zeros_like(hidden_states[:, 0])] if model.has_input_feeding else []
        states = ["state", *(["input_feed"] if feeds else [])]
        outputs = ["logits", *(f"new_{name}" for name in states)]
        axes |= {names[1]: {0: "batch_size"}, "logits": {0: "batch_size"}}
        axes |= {"state": {2: "batch_size"}, "new_state": {2: "batch_size"}}
        axes |= {"input_feed": {0: "batch_size"}, "new_input_feed": {0: "batch_size"}}
        step = (mask, ids[:, :1], hidden_states, *initial, *feeds)
        _export(_RecurrentDecoder(model), step, folder / DECODER, [*names, *states], outputs, axes)
    else:
        _export(_Decoder(model), (mask, ids, hidden_states), folder / DECODER, names, ["logits"], axes)
    files.write_json(folder / "generation_config.json", generation_config(exported))
    return {
        **write_tokenizers(exported, folder, None),
        "is_recurrent": is_recurrent,
        "has_input_feeding": isinstance(model, Rnn) and model.has_input_feeding,
        "width": hidden_states.size(-1),
        "before": exported.prompt,
        "num_added": len(exported.source_prefix) + len(exported.after_source),
    }


def _export(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    path: Path,
    names: list[str],
    outputs: list[str],
    axes: dict[str, dict[int, str]],
) -> None:
    """Trace a module. Its control flow depends on no value, so the graph holds for inputs of any size."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of sizes that are constants, and of the exporter's age
        try:
            torch.onnx.export(
                module.eval(),
                inputs,
                str(path),
                dynamo=False,
                opset_version=_OPSET,
                input_names=names,
                output_names=outputs,
                dynamic_axes={name: axes[name] for name in (*names, *outputs)},
            )
        except torch.onnx.errors.OnnxExporterError as error:
            if "onnx is not installed" in str(error):
                raise ResourceError("onnx is not installed; pip install 'nmt-cli[onnx]'") from error
            raise


class OnnxProgram:
    """An export, loaded by ONNX Runtime and the library tokenizers."""

    def __init__(self, exported: ExportedModel, folder: Path) -> None:
        import onnxruntime
        import tokenizers

        self._exported = exported
        self._encoder, self._decoder = (
            onnxruntime.InferenceSession(folder / name, providers=["CPUExecutionProvider"])
            for name in (ENCODER, DECODER)
        )
        self._inputs = {each.name for each in self._decoder.get_inputs()}
        self._source = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._source.encode_special_tokens = True
        target = folder / TARGET_TOKENIZER / "tokenizer.json"
        self._target = tokenizers.Tokenizer.from_file(str(target)) if target.is_file() else self._source

    def encode_source(self, lines: list[str]) -> list[list[int]]:
        """See TargetProgram."""
        start, end = len(self._exported.source_prefix), len(self._exported.after_source)
        rows = [each.ids for each in self._source.encode_batch(lines)]
        return [row[start : len(row) - end] for row in rows]

    def decode_target(self, rows: list[list[int]]) -> list[str]:
        """See TargetProgram."""
        texts: list[str] = self._target.decode_batch(rows, skip_special_tokens=True)
        return texts

    def score(self, sources: list[list[int]], targets: list[list[int]]) -> list[list[float]]:
        """See TargetProgram."""
        exported, found = self._exported, []
        special = exported.tokenizer.special_tokens
        for source, target in zip(sources, targets, strict=True):
            # A line of padding shows that it is masked.
            row = [*exported.source_prefix, *source, *exported.after_source]
            ids = torch.tensor([row + [special.pad] * 2, [special.eos] * (len(row) + 2)])
            mask = torch.tensor([[1] * len(row) + [0] * 2, [1] * (len(row) + 2)])
            before = exported.prompt
            logits = torch.from_numpy(self._logits(ids, mask, torch.tensor([[*before, *target]] * 2)))[0]
            log_probs = logits[len(before) - 1 :].log_softmax(-1)
            found.append(log_probs[range(len(target) + 1), [*target, special.eos]].tolist())
        return found

    def _logits(self, ids: Tensor, mask: Tensor, target: Tensor) -> Any:
        import numpy as np

        encoded = self._encoder.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
        inputs = {"encoder_attention_mask": mask.numpy(), "encoder_hidden_states": encoded[0]}
        inputs = {name: value for name, value in inputs.items() if name in self._inputs}
        if len(encoded) == 1:
            return self._decoder.run(None, {**inputs, "input_ids": target.numpy()})[0]
        state, steps = {"state": encoded[1]}, []
        if "input_feed" in self._inputs:
            state["input_feed"] = np.zeros_like(encoded[0][:, 0])
        for column in torch.split(target, 1, dim=1):
            logits, *new = self._decoder.run(None, {**inputs, **state, "input_ids": column.numpy()})
            state = dict(zip(state, new, strict=True))
            steps.append(logits)
        return np.concatenate(steps, axis=1)
