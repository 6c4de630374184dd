"""The base of all models that are trained: token embeddings and an output layer."""

import copy
from typing import ClassVar, Literal, TypeVar

import torch
from torch import Tensor, nn

from nmt_cli.errors import RecipeError
from nmt_cli.models.contract import (
    Capabilities,
    DecoderOutput,
    Model,
    ModelInputs,
    OutputPositions,
    SourceColumns,
    VocabularyParameter,
    VocabularySpec,
)
from nmt_cli.models.kernels import (
    Backend,
    Dropout,
    Linear,
    initialize,
    linear,
    prepare_children,
    unpacked,
)
from nmt_cli.models.kernels.int8 import LinearFn
from nmt_cli.recipe.model import ModelSettings, Tying

AnyModule = TypeVar("AnyModule", bound=nn.Module)


class EncoderDecoder(Model):
    """A model with token embeddings and an output layer, which may be tied.

    Subclasses build their layers and then call `_add_output`: the order decides the initial parameters.
    """

    output: "OutputLayer"

    def __init__(
        self,
        settings: ModelSettings,
        vocabulary: VocabularySpec,
        output_layer: type["OutputLayer"],
        width: int,
        scale: float = 1.0,
        zero_start: bool = False,
    ) -> None:
        """`width` is that of the embeddings, which are multiplied by `scale`; `zero_start`: see Embeddings."""
        assert settings.has_attention or not output_layer.needs_attention
        super().__init__(
            vocabulary,
            Capabilities(
                frozenset([settings.search]),
                attention=settings.has_attention,
                output=output_layer.kind,
                blank=vocabulary.special_tokens.pad if settings.search == "ctc" else None,
                copies=output_layer.copies,
            ),
        )
        self.embeddings = Embeddings(vocabulary, width, settings.tied_embeddings, scale=scale, zero_start=zero_start)
        self.dropout = Dropout(settings.dropout)

    def _add_output(self, settings: ModelSettings, output_layer: type["OutputLayer"], bias: bool | None = None) -> None:
        """`bias`: whether the output layer has a bias; None: unless it is tied."""
        self.output = output_layer(settings.width, self.embeddings.target, settings.tied_embeddings, bias)
        self.apply(initialize)

    def logits(self, output: DecoderOutput, positions: OutputPositions | None = None) -> Tensor:
        logits: Tensor = self.output(output, self.embeddings.target, positions)
        return logits

    def prepare_for_inference(self, backend: Backend) -> None:
        """See Model.prepare_for_inference."""
        self.output.prepack(self.embeddings.target, backend)
        prepare_children(self, backend)

    @torch.no_grad()
    def with_target_tokens(self, tokens: Tensor) -> "EncoderDecoder":
        """See Model.with_target_tokens."""
        model = _view(self)
        model.vocabulary = self.vocabulary.with_target_tokens(tokens.tolist())
        model.embeddings = self.embeddings.with_target_tokens(tokens)
        model.output = self.output.with_target_tokens(tokens, self.embeddings.target)
        return model

    def vocabulary_parameters(self) -> list[VocabularyParameter]:
        found = [VocabularyParameter("embeddings.target.weight", "target")]
        if self.embeddings.source is not None:
            found.append(VocabularyParameter("embeddings.source.weight", "source"))
        for column, embeddings in self.embeddings.columns.items():
            names = [name for name, _ in embeddings.named_parameters(f"embeddings.columns.{column}")]
            found += [VocabularyParameter(name, column) for name in names]
        names = [name for name, _ in self.output.named_parameters() if name.partition(".")[0] in ("projection", "bias")]
        return found + [VocabularyParameter(f"output.{name}", "target") for name in names]

    def adaptable_layers(self) -> list[str]:
        names = [name for name, layer in self.named_modules() if isinstance(layer, Linear)]
        return [name for name in names if not name.startswith("output.")]

    def copy_probability(self, output: DecoderOutput) -> Tensor | None:
        return self.output.copy_probability(output)

    def _source_columns(self, inputs: ModelInputs) -> SourceColumns | None:
        """Return the columns that the output layer reads; the source ids replace a column that the batch lacks."""
        names, embedded = self.output.source_columns, self.embeddings.columns.keys()
        assert inputs.columns.keys() - set(names) == embedded, "source columns differ from those that the model reads"
        if inputs.ids is None or not names:
            return None
        return SourceColumns({name: inputs.columns.get(name, inputs.ids) for name in names}, inputs.extra_ids)


def _view(module: AnyModule) -> AnyModule:
    """Return a module with the same parameters and submodules, which can be replaced in it alone."""
    view = copy.copy(module)
    view._modules, view._parameters = dict(module._modules), dict(module._parameters)
    return view


def sentence_indices(hypothesis_indices: Tensor, beam_size: int, num_sentences: int) -> Tensor | None:
    """Return the sentence [B'] of each row of hypothesis indices [B',k'].

    None if all sentences stay, so that what is held once per sentence can stay in place. As sentences keep their order,
    the shape suffices to know this; comparing the indices would synchronize with the host in each step.
    """
    return None if len(hypothesis_indices) == num_sentences else hypothesis_indices[:, 0] // beam_size


class Embeddings(nn.Module):
    """Token embeddings of both sides; one matrix for both if the recipe ties all.

    Source columns, such as factors (Sennrich & Haddow 2016), have embeddings of the same width, added to the token's.
    """

    def __init__(
        self,
        vocabulary: VocabularySpec,
        width: int,
        tying: Tying,
        *,
        scale: float = 1.0,
        zero_start: bool = False,
    ) -> None:
        """`zero_start`: whether the target embedding of decoder_start is zero, whatever its row in the matrix."""
        super().__init__()
        self.zero_id = vocabulary.special_tokens.decoder_start if zero_start else None
        self.target_tokens: Tensor | None = None
        is_shared = tying in ("all", "input")
        if is_shared and vocabulary.source_size != vocabulary.target_size:
            raise RecipeError(
                f"model.tied_embeddings: {tying} needs one vocabulary for both languages, but the source has "
                f"{vocabulary.source_size} tokens and the target {vocabulary.target_size}; "
                "use decoder or none, or make the tokenizer joint"
            )
        self.scale = scale
        # The tied matrix has one owner, so that a checkpoint names it once.
        self.target = _embedding(vocabulary.target_size, width)
        self.source = None if is_shared else _embedding(vocabulary.source_size, width)
        self.columns = nn.ModuleDict()
        for name, sizes in vocabulary.columns.items():
            self.columns[name] = nn.ModuleList(_embedding(size, width) for size in sizes)

    def embed_source(self, inputs: ModelInputs, added: Tensor | None = None) -> Tensor:
        """Embed source ids [B,S] and their columns → [B,S,D]; `added` [D] is added to each embedding."""
        vectors: Tensor = (self.source or self.target)(inputs.ids)
        vectors = vectors if added is None else vectors + added
        for name, embeddings in self.columns.items():
            for embedding, ids in zip(embeddings.children(), inputs.columns[name].unbind(-1), strict=True):
                vectors = vectors + embedding(ids)
        return self._scaled(vectors)

    def embed_target(self, ids: Tensor) -> Tensor:
        """Embed target ids [B,T] → [B,T,D]."""
        ids = ids if self.target_tokens is None else self.target_tokens[ids]
        vectors = self._scaled(self.target(ids))
        return vectors if self.zero_id is None else vectors.masked_fill((ids == self.zero_id).unsqueeze(-1), 0)

    def with_target_tokens(self, tokens: Tensor) -> "Embeddings":
        """Return the same embeddings for target ids that are indices into `tokens`."""
        embeddings = _view(self)
        embeddings.target_tokens = tokens
        return embeddings

    def _scaled(self, vectors: Tensor) -> Tensor:
        return vectors if self.scale == 1 else vectors * self.scale


def _embedding(size: int, width: int) -> nn.Embedding:
    embedding = nn.Embedding(size, width)
    # In a tied output layer this gives logits of order one; as inputs, embeddings are rescaled where a model needs it.
    nn.init.normal_(embedding.weight, std=width**-0.5)
    return embedding


class OutputLayer(nn.Module):
    """Decoder output → one logit for each entry of the target vocabulary.

    Tied, it is the target embeddings again (Press & Wolf 2017). A subclass that copies source words declares what it
    needs, and finds it in the decoder output.
    """

    kind: ClassVar[Literal["logits", "log_probs"]] = "logits"
    """See Capabilities.output."""
    copies: ClassVar[bool] = False
    """See Capabilities.copies."""
    needs_attention: ClassVar[bool] = False
    """Whether it reads DecoderOutput.cross_attention."""
    source_columns: ClassVar[tuple[str, ...]] = ()
    """The source columns that it reads in DecoderOutput.source_columns, such as copy_ids."""

    def __init__(self, width: int, embeddings: nn.Embedding, tying: Tying, bias: bool | None = None) -> None:
        """`bias`: None adds one unless the matrix is tied."""
        super().__init__()
        size, embedding_width = embeddings.weight.shape
        is_tied = tying in ("decoder", "all")
        self.projection = None if is_tied else Linear(width, size, bias is not False)
        self.bias = nn.Parameter(torch.zeros(size)) if is_tied and bias else None
        self.prepacked: LinearFn | None = None
        self._pack_rows = unpacked
        self._rows: tuple[Tensor, Tensor | None] | None = None
        is_narrower = is_tied and width != embedding_width
        self.resize = Linear(width, embedding_width, bias=False) if is_narrower else nn.Identity()

    def prepack(self, embeddings: nn.Embedding, backend: Backend) -> None:
        """Prepack the matrix for inference."""
        weight, bias = self._parameters_of(embeddings)
        self.prepacked, self._pack_rows = backend.linear(weight, bias), backend.rows
        self._rows = (weight, bias) if backend.keeps_rows else None
        self.projection = None

    def with_target_tokens(self, tokens: Tensor, embeddings: nn.Embedding) -> "OutputLayer":
        """Return the layer of some tokens [n]."""
        assert not self.copies
        weight, bias = self._rows or self._parameters_of(embeddings)
        layer = _view(self)
        layer.prepacked = self._pack_rows(weight[tokens], None if bias is None else bias[tokens])
        layer.projection = None
        return layer

    def _parameters_of(self, embeddings: nn.Embedding) -> tuple[Tensor, Tensor | None]:
        """Return matrix and bias."""
        if self.projection is None:
            return embeddings.weight, self.bias
        return self.projection.weight, self.projection.bias

    def forward(
        self, output: DecoderOutput, embeddings: nn.Embedding, positions: OutputPositions | None = None
    ) -> Tensor:
        """Return logits [n,V] at some positions of B·T, or at all."""
        hidden_states = output.hidden_states.flatten(0, 1)
        if positions is not None:
            hidden_states = hidden_states.index_select(0, positions.index)
        hidden_states = self.resize(hidden_states)
        projection = self.prepacked or self.projection
        if projection is None:
            return linear(hidden_states, embeddings.weight, self.bias)
        return projection(hidden_states)

    def copy_probability(self, output: DecoderOutput) -> Tensor | None:
        """See Model.copy_probability."""
        return None
