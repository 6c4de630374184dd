"""Small models that keep the contract, each true to it in its own way: search must not care which it is given."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import torch
from torch import Tensor, nn

from nmt_cli.data.tokenizing.vocabulary import FactorValues
from nmt_cli.decoding.generator import Generator
from nmt_cli.decoding.logits_processors.processor import LogitsProcessor, ProcessorList
from nmt_cli.decoding.requests import Request
from nmt_cli.decoding.search.beam import beam_search
from nmt_cli.decoding.search.candidates import TopKSelector
from nmt_cli.decoding.search.hypotheses import Hypothesis, max_target_lengths
from nmt_cli.decoding.search.sampling import sample
from nmt_cli.decoding.search.strategies import build_strategy
from nmt_cli.decoding.sentences import Constraints, Phrase, SentenceInput
from nmt_cli.models.contract import (
    Capabilities,
    DecoderInput,
    DecoderOutput,
    EncoderOutput,
    Model,
    ModelInputs,
    OutputPositions,
    VocabularyParameter,
    VocabularySpec,
)
from nmt_cli.recipe.decoding import BeamSettings, SamplingSettings, SearchSettings
from nmt_cli.text.special_tokens import DEFAULT_SPECIAL_TOKENS

PAD, UNKNOWN, START, END = range(4)


@dataclass(frozen=True)
class ToyEncoderOutput(EncoderOutput):
    """Whatever a toy keeps of its sources, [B,...]."""

    states: Tensor


@dataclass(frozen=True)
class PrefixCache:
    """All tokens so far [B,k,t], and the encoder output."""

    tokens: Tensor
    encoder_output: ToyEncoderOutput

    def select(self, hypothesis_indices: Tensor) -> "PrefixCache":
        sentences = hypothesis_indices[:, 0] // self.tokens.size(1)
        expected = sentences.unsqueeze(1).expand_as(hypothesis_indices)
        assert torch.equal(expected, hypothesis_indices // self.tokens.size(1))
        assert torch.equal(sentences, sentences.sort().values)
        if len(sentences) == len(self.tokens):
            assert torch.equal(sentences, torch.arange(len(sentences)))
        return PrefixCache(self.tokens.flatten(0, 1)[hypothesis_indices], self.encoder_output.select(sentences))


class Toy(Model):
    """Keeps whole prefixes as its cache, and computes everything from them again at each step."""

    def __init__(self, size: int, seed: int = 1) -> None:
        super().__init__(VocabularySpec(size, size), Capabilities())
        self.generator = torch.Generator().manual_seed(seed)
        self.rows_stepped: list[tuple[int, int]] = []

    def init_cache(self, encoder_output: ToyEncoderOutput, batch_size: int) -> PrefixCache:
        return PrefixCache(torch.empty(batch_size, 1, 0, dtype=torch.long), encoder_output)

    def step(self, ids: Tensor, cache: PrefixCache) -> tuple[Tensor, PrefixCache]:
        cache = PrefixCache(torch.cat([cache.tokens, ids.unsqueeze(-1)], dim=2), cache.encoder_output)
        self.rows_stepped.append(tuple(ids.shape))
        batch, beam = ids.shape
        rows = torch.arange(batch).repeat_interleave(beam)
        output = self.decode(cache.encoder_output.select(rows), DecoderInput(cache.tokens.flatten(0, 1)))
        logits = self.logits(DecoderOutput(output.hidden_states[:, -1:]))
        return logits.view(batch, beam, -1), cache

    def vocabulary_parameters(self) -> list[VocabularyParameter]:
        return []

    activations_per_token = 1


class TableModel(Toy):
    """A bigram table for each first source token."""

    def __init__(self, size: int, seed: int = 1, end_bias: float = 0.0) -> None:
        super().__init__(size, seed)
        self.table = nn.Parameter(torch.randn(size, size, size, generator=self.generator))
        self.table.data[..., END] += end_bias

    def encode(self, inputs: ModelInputs) -> ToyEncoderOutput:
        return ToyEncoderOutput(inputs.ids[:, 0])

    def decode(self, encoder_output: ToyEncoderOutput, target: DecoderInput, attention: bool = False) -> DecoderOutput:
        return DecoderOutput(self.table[encoder_output.states.unsqueeze(1), target.ids])

    def logits(self, output: DecoderOutput, positions: OutputPositions | None = None) -> Tensor:
        logits = output.hidden_states.flatten(0, 1)
        return logits.clone() if positions is None else logits[positions.index]


class GruModel(Toy):
    """A tiny untrained GRU: each logit depends on the whole source and on all tokens so far."""

    def __init__(self, size: int, seed: int = 1, end_bias: float = 0.0, width: int = 8) -> None:
        super().__init__(size, seed)
        self.embedding, self.output = nn.Embedding(size, width), nn.Linear(width, size)
        self.encoder, self.decoder = nn.GRU(width, width, batch_first=True), nn.GRU(width, width, batch_first=True)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=1.0, generator=self.generator)
        self.output.bias.data[END] += end_bias

    def encode(self, inputs: ModelInputs) -> ToyEncoderOutput:
        states = self.encoder(self.embedding(inputs.ids))[0]
        lengths = torch.full((len(states),), states.size(1)) if inputs.lengths is None else inputs.lengths
        return ToyEncoderOutput(states[torch.arange(len(states)), lengths - 1])

    def decode(self, encoder_output: ToyEncoderOutput, target: DecoderInput, attention: bool = False) -> DecoderOutput:
        initial = encoder_output.states.unsqueeze(0).contiguous()
        return DecoderOutput(self.decoder(self.embedding(target.ids), initial)[0])

    def logits(self, output: DecoderOutput, positions: OutputPositions | None = None) -> Tensor:
        states = output.hidden_states.flatten(0, 1)
        return self.output(states if positions is None else states[positions.index])


def forced_log_probability(model: Model, source: ModelInputs, tokens: tuple[int, ...], ended: bool = True) -> float:
    """log P(tokens | source), of one sentence, by the half of the contract that search does not use."""
    said = [*tokens, END] if ended else list(tokens)
    with torch.no_grad():
        target = DecoderInput(torch.tensor([[START, *said][: len(said)]]))
        log_probabilities = model.logits(model.decode(model.encode(source), target)).log_softmax(-1)
    return float(log_probabilities[torch.arange(len(said)), torch.tensor(said)].double().sum())


def forced_log_probabilities(
    model: Model, source: list[int], targets: Iterable[tuple[int, ...]]
) -> dict[tuple[int, ...], float]:
    """Return log P(target | source) of many targets of one source, by one forward pass per length."""
    by_length: dict[int, list[tuple[int, ...]]] = {}
    for target in targets:
        by_length.setdefault(len(target), []).append(target)
    found = {}
    for length, group in by_length.items():
        labels = torch.tensor([[*target, END] for target in group])
        starts = torch.full((len(group), 1), START)
        inputs = ModelInputs.from_ids(torch.tensor([[*source, END]] * len(group)))
        with torch.no_grad():
            output = model.decode(model.encode(inputs), DecoderInput(torch.cat([starts, labels[:, :-1]], 1)))
            log_probs = model.logits(output).log_softmax(-1).view(len(group), length + 1, -1)
        sums = log_probs.gather(2, labels.unsqueeze(2)).squeeze(2).double().sum(1)
        found.update(zip(group, sums.tolist(), strict=True))
    return found


def one(*tokens: int) -> ModelInputs:
    """A source of one sentence, its end added."""
    return ModelInputs.from_ids(torch.tensor([[*tokens, END]]))


def numbered(sentences: list[list[int]], first: int = 0) -> list[SentenceInput]:
    """Sentences with the numbers of their lines, and no wishes."""
    return [SentenceInput(line, tokens) for line, tokens in enumerate(sentences, first)]


def requests(lines: Iterable[str]) -> Iterator[Request]:
    """Lines to translate, and no wishes."""
    return map(Request, lines)


def batch_of(sentences: list[list[int]]) -> ModelInputs:
    """Sentences of any lengths as one source, ends added."""
    longest = max(map(len, sentences)) + 1
    rows = [sentence + [END] * (longest - len(sentence)) for sentence in sentences]
    return ModelInputs.from_ids(torch.tensor(rows), torch.tensor([len(sentence) + 1 for sentence in sentences]))


class EchoModel(Toy):
    """Repeats its source token by token, with high probability: the output shows which line was translated."""

    def __init__(self, size: int, sureness: float = 20.0) -> None:
        super().__init__(size)
        self.sureness = sureness
        self.largest_batch = 0

    def encode(self, inputs: ModelInputs) -> ToyEncoderOutput:
        self.largest_batch = max(self.largest_batch, inputs.ids.numel())
        return ToyEncoderOutput(inputs.ids)

    def decode(self, encoder_output: ToyEncoderOutput, target: DecoderInput, attention: bool = False) -> DecoderOutput:
        source = encoder_output.states
        positions = torch.arange(target.ids.size(1)).clamp(max=source.size(1) - 1)
        weights = nn.functional.one_hot(positions, source.size(1)).float().expand(len(source), -1, -1)
        echoed = source[:, positions].unsqueeze(-1)
        return DecoderOutput(echoed, cross_attention=weights if attention else None)

    def logits(self, output: DecoderOutput, positions: OutputPositions | None = None) -> Tensor:
        tokens = output.hidden_states.flatten(0, 1)
        tokens = tokens if positions is None else tokens[positions.index]
        return torch.zeros(len(tokens), self.vocabulary.target_size).scatter_(1, tokens, self.sureness)

    def step(self, ids: Tensor, cache: PrefixCache) -> tuple[Tensor, PrefixCache]:
        tokens, source = torch.cat([cache.tokens, ids.unsqueeze(-1)], dim=2), cache.encoder_output.states
        position = min(tokens.size(2), source.size(1)) - 1
        echoed = source[:, position].view(-1, 1, 1).expand(-1, ids.size(1), 1)
        logits = torch.zeros(*ids.shape, self.vocabulary.target_size).scatter_(2, echoed, self.sureness)
        return logits, PrefixCache(tokens, cache.encoder_output)


class CharacterTokenizer:
    """A token for each character that it has met; the table is as large as the texts are varied."""

    special_tokens = DEFAULT_SPECIAL_TOKENS
    target = SimpleNamespace(entries=[], tags={}, without_piece=set(), byte_values=dict, ids_by_text=lambda *kinds: {})
    factors = FactorValues()
    copies = False

    def __init__(self) -> None:
        self.characters: dict[str, int] = {}

    def encode_source(self, lines: list[str]) -> list[list[int]]:
        return [[self.characters.setdefault(each, len(self.characters) + 4) for each in line] for line in lines]

    encode_target = encode_source

    def decode_target(self, rows: list[list[int]]) -> list[str]:
        names = {number: character for character, number in self.characters.items()}
        return ["".join(names[token] for token in row if token in names) for row in rows]


def translations(words: Sequence[int], longest: int) -> list[tuple[int, ...]]:
    """All there are, up to a length."""
    return [said for length in range(1, longest + 1) for said in itertools.product(words, repeat=length)]


def search(
    model: Model,
    constraints: Sequence[Constraints],
    settings: SearchSettings,
    continuations: Sequence[int] = (),
    sources: Sequence[list[int]] = ([4, 5, 6], [6, 5], [5, 5, 4, 6]),
) -> list[list[Hypothesis]]:
    """Return hypotheses of sentences with these constraints; some tokens continue a word."""
    mask = [token in continuations for token in range(model.vocabulary.target_size)]
    generator = Generator(model, [PAD, UNKNOWN, START], torch.device("cpu"), continuation_mask=mask)
    sentences = [SentenceInput(line, *each) for line, each in enumerate(zip(sources, constraints, strict=False), 1)]
    return generator.search(sentences, build_strategy(settings))


def search_with(
    processors: Sequence[LogitsProcessor],
    model: Model,
    inputs: ModelInputs,
    settings: BeamSettings | SamplingSettings,
    sentences: Sequence[SentenceInput] | None = None,
    max_length: int | None = None,
) -> list[list[Hypothesis]]:
    """Search with these logits processors and no others, so that even an empty translation is possible."""
    sentences = sentences or numbered(inputs.ids.tolist())
    max_lengths = max_target_lengths(inputs, settings, sentences)
    if max_length is not None:
        max_lengths = torch.full_like(max_lengths, max_length)
    listed = ProcessorList(processors)
    if isinstance(settings, SamplingSettings):
        return sample(model, inputs, settings, listed, max_lengths, [sentence.line for sentence in sentences])
    return beam_search(model, inputs, settings, listed, TopKSelector(settings.beam_size, END), max_lengths)


def occurrences(phrase: Phrase, tokens: Sequence[int], continuations: Sequence[int] = ()) -> int:
    """Return how often a phrase occurs as whole words, without overlaps."""
    found, position = 0, 0
    while position + len(phrase) <= len(tokens):
        after = position + len(phrase)
        if tuple(tokens[position:after]) == phrase and (after == len(tokens) or tokens[after] not in continuations):
            found, position = found + 1, after
        else:
            position += 1
    return found
