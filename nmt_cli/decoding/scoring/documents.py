"""Scoring of documents by a language model, in windows of the length that it was trained with."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from nmt_cli.console import OnProgress
from nmt_cli.data.arrays import RaggedArray
from nmt_cli.data.batches import collate, split_sorted
from nmt_cli.data.context import encode_documents, normalize_documents
from nmt_cli.data.packing import pack_documents
from nmt_cli.data.reading.documents import LINE_BREAK, with_escaped_breaks
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.decoding.scoring.targets import label_log_probs
from nmt_cli.devices import Precision, autocast
from nmt_cli.models.contract import DecoderInput, Model, ModelInputs, OutputPositions


@dataclass(frozen=True)
class DocumentScore:
    """The log-probability of a document."""

    log_probability: float
    """Natural logarithm, that of eos included."""
    tokens: int
    """Subwords, eos included."""
    characters: int
    """Of the normalised document, with line breaks and one for its end."""
    bytes: int
    """As `characters`, in UTF-8."""


class DocumentScorer:
    """Scores documents with one language model."""

    def __init__(
        self, model: Model, tokenizer: Tokenizer, window: int, device: torch.device, precision: Precision = "fp32"
    ) -> None:
        """`window` is the number of tokens that the model reads at once; each predicts the next."""
        self.model, self.tokenizer, self.window = model.eval(), tokenizer, window
        self._device, self._precision = device, precision

    @torch.inference_mode()
    def score(
        self, documents: Sequence[str], batch_tokens: int, on_progress: OnProgress = lambda rows: None
    ) -> list[DocumentScore]:
        """Score documents, whose lines may end with line breaks.

        Args:
            batch_tokens: Maximum tokens of a batch, padding included.
            on_progress: Called with the number of rows of each batch; rows hold the windows of all documents.
        """
        texts = normalize_documents(self.tokenizer.normalization, list(map(with_escaped_breaks, documents)))
        ids, lengths = encode_documents(self.tokenizer.target, texts)
        special = self.tokenizer.special_tokens
        rows = pack_documents(RaggedArray.of_lengths(lengths, ids), special, self.window)
        sums, counts, owners = np.zeros(len(texts)), lengths + 1, rows.document_ids
        for indices in split_sorted(rows, np.argsort(rows.target_lengths, kind="stable"), batch_tokens):
            batch = collate(rows, indices, special).to(self._device)
            with autocast(self._device, self._precision):
                target = DecoderInput(batch.decoder_input, batch.positions, batch.segment_ids)
                output = self.model.decode(self.model.encode(ModelInputs(len(indices))), target)
                positions = OutputPositions.from_index(batch.label_positions, batch.decoder_input.size(1))
                log_probs = label_log_probs(self.model, output, positions, batch.labels)
            found = np.concatenate([owners[row] for row in indices.tolist()])
            np.add.at(sums, found, log_probs.double().cpu().numpy())
            on_progress(len(indices))
        return [
            DocumentScore(log_prob, count, len(text) + 1, len(text.replace(LINE_BREAK, "\n").encode()) + 1)
            for log_prob, count, text in zip(sums.tolist(), counts.tolist(), texts, strict=True)
        ]
