"""Small models that keep the contract, each true to it in its own way: search must not care which it is given."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from nmt_cli.data.tokenizing.factors import Factors
from nmt_cli.decoding.batching import Searcher
from nmt_cli.decoding.requests import Request
from nmt_cli.decoding.search.hypotheses import Hypothesis
from nmt_cli.decoding.sentences import Phrase, Sentence, Wishes
from nmt_cli.models.contract import Decoded, Source, TranslationModel, Vocabularies
from nmt_cli.recipe.decoding import SearchSettings
from nmt_cli.text.special_tokens import DEFAULT_SPECIAL_TOKENS

PAD, UNKNOWN, START, END = range(4)


@dataclass(frozen=True)
class PrefixState:
    """All that was said so far [B,k,t], beside what belongs to the sentence [B,...]."""

    said: Tensor
    memory: Tensor

    def select(self, rows: Tensor) -> "PrefixState":
        sentences = rows[:, 0] // self.said.size(1)
        assert torch.equal(sentences.unsqueeze(1).expand_as(rows), rows // self.said.size(1))
        return PrefixState(self.said.flatten(0, 1)[rows], self.memory[sentences])


class _Toy(TranslationModel):
    """Keeps whole prefixes as its state, and computes everything from them again at each step."""

    def __init__(self, size: int, seed: int = 1) -> None:
        super().__init__(Vocabularies(size, size, START, END))
        self.generator = torch.Generator().manual_seed(seed)
        self.rows_stepped: list[tuple[int, int]] = []

    def start(self, memory: Any) -> PrefixState:
        return PrefixState(torch.empty(len(memory), 1, 0, dtype=torch.long), memory)

    def step(self, tokens: Tensor, state: PrefixState) -> tuple[Tensor, PrefixState]:
        state = PrefixState(torch.cat([state.said, tokens.unsqueeze(-1)], dim=2), state.memory)
        self.rows_stepped.append(tuple(tokens.shape))
        batch, beam = tokens.shape
        memory = state.memory.repeat_interleave(beam, dim=0)
        decoded = self.decode(memory, state.said.flatten(0, 1))
        scores = self.scores(Decoded(decoded.vectors[:, -1:]))
        return scores.view(batch, beam, -1), state


class TableModel(_Toy):
    """A bigram table for each first source token."""

    def __init__(self, size: int, seed: int = 1, end_bias: float = 0.0) -> None:
        super().__init__(size, seed)
        self.table = nn.Parameter(torch.randn(size, size, size, generator=self.generator))
        self.table.data[..., END] += end_bias

    def encode(self, source: Source) -> Tensor:
        return source.tokens[:, 0]

    def decode(self, memory: Tensor, target_in: Tensor, attention: bool = False) -> Decoded:
        return Decoded(self.table[memory.unsqueeze(1), target_in])

    def scores(self, decoded: Decoded, positions: Tensor | None = None) -> Tensor:
        scores = decoded.vectors.flatten(0, 1)
        return scores.clone() if positions is None else scores[positions]


class GruModel(_Toy):
    """A tiny untrained GRU: each score depends on the whole source and on all that was said."""

    def __init__(self, size: int, seed: int = 1, end_bias: float = 0.0, width: int = 8) -> None:
        super().__init__(size, seed)
        self.embedding, self.output = nn.Embedding(size, width), nn.Linear(width, size)
        self.encoder, self.decoder = nn.GRU(width, width, batch_first=True), nn.GRU(width, width, batch_first=True)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=1.0, generator=self.generator)
        self.output.bias.data[END] += end_bias

    def encode(self, source: Source) -> Tensor:
        vectors = self.encoder(self.embedding(source.tokens))[0]
        lengths = torch.full((len(vectors),), vectors.size(1)) if source.lengths is None else source.lengths
        return vectors[torch.arange(len(vectors)), lengths - 1]

    def decode(self, memory: Tensor, target_in: Tensor, attention: bool = False) -> Decoded:
        return Decoded(self.decoder(self.embedding(target_in), memory.unsqueeze(0).contiguous())[0])

    def scores(self, decoded: Decoded, positions: Tensor | None = None) -> Tensor:
        vectors = decoded.vectors.flatten(0, 1)
        return self.output(vectors if positions is None else vectors[positions])


def forced_log_probability(
    model: TranslationModel, source: Source, tokens: tuple[int, ...], ended: bool = True
) -> float:
    """log P(tokens | source), of one sentence, by the half of the contract that search does not use."""
    said = [*tokens, END] if ended else list(tokens)
    with torch.no_grad():
        decoded = model.decode(model.encode(source), torch.tensor([[START, *said][: len(said)]]))
        log_probabilities = model.scores(decoded).log_softmax(-1)
    return float(log_probabilities[torch.arange(len(said)), torch.tensor(said)].double().sum())


def one(*tokens: int) -> Source:
    """A source of one sentence, its end added."""
    return Source(torch.tensor([[*tokens, END]]))


def numbered(sentences: list[list[int]], first: int = 0) -> list[Sentence]:
    """Sentences with the numbers of their lines, and no wishes."""
    return [Sentence(line, tokens) for line, tokens in enumerate(sentences, first)]


def requests(lines: Iterable[str]) -> Iterator[Request]:
    """Lines to translate, and no wishes."""
    return map(Request, lines)


def batch_of(sentences: list[list[int]]) -> Source:
    """Sentences of any lengths as one source, ends added."""
    longest = max(map(len, sentences)) + 1
    rows = [sentence + [END] * (longest - len(sentence)) for sentence in sentences]
    return Source(torch.tensor(rows), torch.tensor([len(sentence) + 1 for sentence in sentences]))


class EchoModel(TranslationModel):
    """Says its source word for word, and surely: what comes out shows which line was translated."""

    def __init__(self, size: int, sureness: float = 20.0) -> None:
        super().__init__(Vocabularies(size, size, START, END))
        self.sureness = sureness
        self.largest_batch = 0

    def encode(self, source: Source) -> Tensor:
        self.largest_batch = max(self.largest_batch, source.tokens.numel())
        return source.tokens

    def decode(self, memory: Tensor, target_in: Tensor, attention: bool = False) -> Decoded:
        places = torch.arange(target_in.size(1)).clamp(max=memory.size(1) - 1)
        looks = nn.functional.one_hot(places, memory.size(1)).float().expand(len(memory), -1, -1)
        return Decoded(memory[:, places].unsqueeze(-1), looks if attention else None)

    def scores(self, decoded: Decoded, positions: Tensor | None = None) -> Tensor:
        words = decoded.vectors.flatten(0, 1)
        words = words if positions is None else words[positions]
        return torch.zeros(len(words), self.vocabularies.target_size).scatter_(1, words, self.sureness)

    def start(self, memory: Tensor) -> PrefixState:
        return PrefixState(torch.empty(len(memory), 1, 0, dtype=torch.long), memory)

    def step(self, tokens: Tensor, state: PrefixState) -> tuple[Tensor, PrefixState]:
        said = torch.cat([state.said, tokens.unsqueeze(-1)], dim=2)
        place = min(said.size(2), state.memory.size(1)) - 1
        words = state.memory[:, place].view(-1, 1, 1).expand(-1, tokens.size(1), 1)
        scores = torch.zeros(*tokens.shape, self.vocabularies.target_size).scatter_(2, words, self.sureness)
        return scores, PrefixState(said, state.memory)


class CharacterTokenizer:
    """A token for each character that it has met; the table is as large as the texts are varied."""

    special_tokens = DEFAULT_SPECIAL_TOKENS
    target = SimpleNamespace(vocabulary=[], tags={}, byte_values=dict, pieces=list)
    factors = Factors()

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
    model: TranslationModel,
    wishes: Sequence[Wishes],
    settings: SearchSettings,
    continues: Sequence[int] = (),
    sources: Sequence[list[int]] = ([4, 5, 6], [6, 5], [5, 5, 4, 6]),
) -> list[list[Hypothesis]]:
    """Hypotheses for sentences with these wishes; some words continue others."""
    mask = torch.zeros(model.vocabularies.target_size, dtype=torch.bool)
    mask[list(continues)] = True
    searcher = Searcher(model, [PAD, UNKNOWN, START], torch.device("cpu"), continues=mask)
    sentences = [Sentence(line, *each) for line, each in enumerate(zip(sources, wishes, strict=False), 1)]
    return searcher.search(sentences, settings)


def occurrences(phrase: Phrase, tokens: Sequence[int], continues: Sequence[int] = ()) -> int:
    """How often a phrase is said as whole words, without overlaps."""
    found, place = 0, 0
    while place + len(phrase) <= len(tokens):
        after = place + len(phrase)
        if tuple(tokens[place:after]) == phrase and (after == len(tokens) or tokens[after] not in continues):
            found, place = found + 1, after
        else:
            place += 1
    return found
