"""The CTC loss (Graves et al. 2006)."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from nmt_cli.data.batches import Batch
from nmt_cli.models.contract import DecoderInput, DecoderOutput, Model
from nmt_cli.training.objectives.input_noise import source_token_mask, word_dropout
from nmt_cli.training.objectives.objective import ChunkLoss, LossOutput, Objective, chunk_size, chunked_loss, inputs_of


class CtcObjective(Objective):
    """The negative log-probability of each target, the sum over all of its alignments, in nats, without eos.

    Label smoothing takes (1 - ε) of it, and adds ε times the mean negative log-probability of a token, summed over all
    output positions. The log-probability of targets that have no alignment, as they are longer than the upsampled
    source, counts as 0; their tokens are counted like others.
    """

    def __init__(self, model: Model, label_smoothing: float, word_dropout: float) -> None:
        """`word_dropout` is the probability of replacing each source word by unk."""
        super().__init__(model)
        assert model.capabilities.blank is not None
        self.blank, self.label_smoothing, self.word_dropout = model.capabilities.blank, label_smoothing, word_dropout

    def forward(self, batch: Batch) -> LossOutput:
        special_tokens, source = self.model.vocabulary.special_tokens, batch.source
        if self.training:
            source = word_dropout(
                source, source_token_mask(batch, special_tokens.eos), self.word_dropout, special_tokens.unk
            )
        output = self.model.decode(self.model.encode(inputs_of(batch, source)), DecoderInput(None))
        loss = chunked_loss([output], self._by_sentence(batch, output))
        return LossOutput(loss, batch.target_tokens, {})

    def _by_sentence(self, batch: Batch, output: DecoderOutput) -> Iterator[ChunkLoss]:
        labels = torch.full_like(batch.decoder_input, self.blank)
        labels.view(-1).index_copy_(0, batch.label_positions, batch.labels)
        # The last label of each row is eos.
        lengths = torch.bincount(batch.label_positions // labels.size(1), minlength=len(labels)) - 1
        size = chunk_size(output.hidden_states.size(1) * self.model.vocabulary.target_size, labels.device)
        for sentences in torch.split(torch.arange(len(labels), device=labels.device), size):
            yield lambda outputs, sentences=sentences: self._loss(  # type: ignore[misc]
                outputs, sentences, labels, lengths
            )

    def _loss(self, outputs: Sequence[DecoderOutput], sentences: Tensor, labels: Tensor, lengths: Tensor) -> Tensor:
        """Return the summed loss of some sentences [b], with labels [B,T] and their lengths [B]."""
        output = outputs[0].select(sentences)
        num_sentences, length, _ = output.hidden_states.shape
        log_probs = self.model.logits(output).float().log_softmax(1).view(num_sentences, length, -1)
        loss = functional.ctc_loss(
            log_probs.transpose(0, 1),
            labels[sentences],
            torch.full((num_sentences,), length),
            lengths[sentences].cpu(),
            self.blank,
            reduction="sum",
            zero_infinity=True,
        )
        if self.training and self.label_smoothing:
            loss = (1 - self.label_smoothing) * loss - self.label_smoothing * log_probs.mean(2).sum()
        return loss
