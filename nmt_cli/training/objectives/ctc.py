"""The CTC loss (Graves et al. 2006)."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from nmt_cli.data.batches import Batch
from nmt_cli.models.contract import DecoderInput, DecoderOutput, Model
from nmt_cli.recipe.training import Glancing
from nmt_cli.training.objectives.glancing import glancing_ratio, tokens_to_reveal
from nmt_cli.training.objectives.input_noise import source_token_mask, word_dropout
from nmt_cli.training.objectives.objective import ChunkLoss, LossOutput, Objective, chunk_size, chunked_loss, inputs_of


class CtcObjective(Objective):
    """The negative log-probability of each target, the sum over all of its alignments, in nats, without eos.

    Label smoothing takes (1 - ε) of it, and adds ε times the mean negative log-probability of a token, summed over all
    output positions. The log-probability of targets that have no alignment, as they are longer than the upsampled
    source, counts as 0; their tokens are counted like others. In training, glancing shows some of the tokens to the
    decoder.
    """

    def __init__(
        self, model: Model, label_smoothing: float, word_dropout: float, glancing: Glancing | None = None
    ) -> None:
        """`word_dropout` is the probability of replacing each source word by unk."""
        super().__init__(model)
        assert model.capabilities.blank is not None
        self.blank, self.label_smoothing, self.word_dropout = model.capabilities.blank, label_smoothing, word_dropout
        self.glancing = glancing

    def forward(self, batch: Batch) -> LossOutput:
        special_tokens, source = self.model.vocabulary.special_tokens, batch.source
        if self.training:
            source = word_dropout(
                source, source_token_mask(batch, special_tokens.eos), self.word_dropout, special_tokens.unk
            )
        labels, lengths = self._labels(batch)
        encoder_output, revealed = self.model.encode(inputs_of(batch, source)), None
        if self.training and (ratio := glancing_ratio(self.glancing, self.fraction_done)) > 0:
            revealed = tokens_to_reveal(self.model, encoder_output, labels, lengths, ratio)
        output = self.model.decode(encoder_output, DecoderInput(None, revealed=revealed))
        loss = chunked_loss([output], self._by_sentence(output, labels, lengths))
        return LossOutput(loss, batch.target_tokens, {})

    def _labels(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the labels [B,T] of each sentence, with eos and padding after the first ones, and their number [B]."""
        labels = torch.full_like(batch.decoder_input, self.blank)
        labels.view(-1).index_copy_(0, batch.label_positions, batch.labels)
        lengths = torch.bincount(batch.label_positions // labels.size(1), minlength=len(labels)) - 1
        return labels, lengths

    def _by_sentence(self, output: DecoderOutput, labels: Tensor, lengths: Tensor) -> Iterator[ChunkLoss]:
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
