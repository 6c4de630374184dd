"""The base of all models with Transformer layers."""

import torch

from nmt_cli.models.attention import CrossAttention, SelfAttention
from nmt_cli.models.contract import VocabularySpec
from nmt_cli.models.encoder_decoder import EncoderDecoder, OutputLayer
from nmt_cli.recipe.model import CtcSettings, DecoderOnlySettings, TransformerSettings

TransformerModelSettings = TransformerSettings | CtcSettings | DecoderOnlySettings


class TransformerModel(EncoderDecoder):
    """A model with embeddings, Transformer layers, some of which training may skip, and an output layer."""

    def __init__(
        self,
        settings: TransformerModelSettings,
        vocabulary: VocabularySpec,
        output_layer: type[OutputLayer],
        *,
        zero_start: bool = False,
    ) -> None:
        """`zero_start`: see Embeddings."""
        scale = settings.width**0.5 if settings.scale_embeddings else 1.0
        super().__init__(settings, vocabulary, output_layer, settings.width, scale, zero_start)
        self.layer_drop = settings.layer_drop
        self.uses_all_parameters = self.layer_drop == 0

    def _add_layer_output(self, settings: TransformerModelSettings, output_layer: type[OutputLayer]) -> None:
        """As `_add_output`; unscaled attention begins with smaller queries."""
        self._add_output(settings, output_layer, settings.output_bias)
        if not settings.scale_attention:
            self._shrink_queries()

    @torch.no_grad()
    def _shrink_queries(self) -> None:
        """Make the first scores of attention as small as if they were scaled."""
        for module in self.modules():
            if isinstance(module, SelfAttention | CrossAttention):
                module.query_weight.mul_(module.head_width**-0.5)

    def _skips_layer(self) -> bool:
        """Draw whether to leave out a layer; on the CPU, so that nothing waits for a device."""
        return self.training and self.layer_drop > 0 and float(torch.rand((), device="cpu")) < self.layer_drop
