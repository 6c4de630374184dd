"""Continuation of prompts by a language model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nmt_cli.data.context import decode_document, encode_documents, normalize_documents
from nmt_cli.data.reading.documents import LINE_BREAK
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.decoding.logits_processors.building import BatchConstraints
from nmt_cli.decoding.logits_processors.processor import StatelessProcessor
from nmt_cli.decoding.search.hypotheses import Hypothesis, normalize_score
from nmt_cli.decoding.search.strategies import build_strategy, replaces_unknown
from nmt_cli.decoding.sentences import SentenceInput
from nmt_cli.devices import Precision, autocast
from nmt_cli.errors import ModelError, RecipeError
from nmt_cli.models.contract import Model, ModelInputs
from nmt_cli.recipe.decoding import SearchSettings, StepwiseSettings
from nmt_cli.recipe.evaluation import Evaluation

OnText = Callable[[str], object]
"""Called with each further part of a text."""

_INCOMPLETE = "\ufffd"
"""The bytes of a character that is not complete yet."""


@dataclass(frozen=True)
class Continuation:
    """A text that continues a prompt."""

    text: str
    """Without the prompt."""
    log_probability: float
    """Natural logarithm, that of eos included."""
    score: float
    """Normalized by length."""
    tokens: int
    """Subwords, without eos."""
    has_eos: bool
    """Whether the document ends; if not, `max_length` was reached."""


class TextGenerator:
    """Continues prompts with one language model.

    A model reads at most as many tokens as a window of its training text. When a window is full, generation continues
    with its second half as the prompt.
    """

    def __init__(
        self,
        model: Model,
        tokenizer: Tokenizer,
        settings: SearchSettings,
        device: torch.device,
        window: int,
        precision: Precision = "fp32",
        suppress_tokens: tuple[int, ...] = (),
        evaluation: Evaluation | None = None,
    ) -> None:
        """Create a generator.

        Args:
            window: Tokens that the model reads at once; the default of `settings.max_length`.
            suppress_tokens: Tokens that are never generated.
            evaluation: Settings of the metric that minimum Bayes risk decoding compares continuations with.

        Raises:
            RecipeError: `settings` ask for something that needs a source.
            ModelError: The strategy cannot search with this model.
        """
        build_strategy(settings).check(model)
        assert isinstance(settings, StepwiseSettings), "the strategy has been checked"
        replaces_unknown(settings, tokenizer, model)  # raises RecipeError if it is set: this model knows all text
        if settings.language_model is not None:
            raise RecipeError(
                "decoding.language_model: is for translations; this model generates alone, remove the key"
            )
        if settings.length is not None:
            raise RecipeError("decoding.length: is for translations; this model generates alone, remove the key")
        if getattr(settings, "coverage_penalty", 0):
            raise RecipeError("decoding.coverage_penalty: needs attention to a source, which a language model lacks")
        self.model, self.tokenizer, self.settings, self.window = model.eval(), tokenizer, settings, window
        self._device, self._precision, self._suppress_tokens = device, precision, suppress_tokens
        self._max_length, self._evaluation = settings.max_length or window, evaluation

    def generate(self, prompt: str, index: int = 1, on_text: OnText | None = None) -> list[Continuation]:
        """Return `n_best` continuations of a prompt, which may be empty, best first or as drawn.

        Args:
            index: 1-based index of the prompt, for random draws.
            on_text: Called with parts of the continuation: as it grows if the search has one hypothesis, otherwise once
                at the end.

        Raises:
            ModelError: The logits are not finite.
            ValueError: `on_text` is given and `n_best` is not 1.
        """
        if on_text is not None and self.settings.n_best != 1:
            raise ValueError("on_text needs n_best 1: several continuations have no common text")
        escaped = prompt.replace("\r\n", "\n").replace("\n", LINE_BREAK)
        text = normalize_documents(self.tokenizer.normalization, [escaped])[0]
        ids, _ = encode_documents(self.tokenizer.target, [text])
        first = [self.tokenizer.special_tokens.decoder_start, *ids.tolist()]
        stream = None if on_text is None else _Stream(self._decode, first, on_text)
        found = self._search(first, (), index, 0, stream)
        finished = [self._continued(first, each, index, stream) for each in found]
        continuations = [self._continuation(first, each) for each in finished]
        if stream is not None:
            stream.finish(continuations[0].text)
        return continuations

    def _continued(self, prompt: list[int], hypothesis: Hypothesis, index: int, stream: "_Stream | None") -> Hypothesis:
        """Return a hypothesis that is complete or has the maximum length."""
        round = 0
        while not hypothesis.has_eos and len(hypothesis.tokens) < self._max_length:
            round += 1
            (more, *_) = self._search(prompt, hypothesis.tokens, index, round, stream, n_best=1)
            tokens, log_prob = hypothesis.tokens + more.tokens, hypothesis.log_probability + more.log_probability
            score = normalize_score(log_prob, len(tokens) + more.has_eos, self.settings.length_penalty)
            hypothesis = Hypothesis(tokens, log_prob, score, more.has_eos)
        return hypothesis

    def _search(
        self,
        prompt: list[int],
        generated: tuple[int, ...],
        index: int,
        round: int,
        stream: "_Stream | None",
        n_best: int = 0,
    ) -> list[Hypothesis]:
        """Continue the prompt and the generated tokens by at most the tokens left in one window."""
        before = [*prompt, *generated]
        if len(before) >= self.window:
            before = before[-max(1, self.window // 2) :]
        max_length = min(self._max_length - len(generated), self.window - len(before) + 1)
        # If min_length exceeds max_length, eos is not possible in this window.
        min_length = max(0, self.settings.min_length - len(generated))
        changes: dict[str, Any] = {"max_length": max_length, "min_length": min_length}
        changes |= {"n_best": n_best} if n_best else {}
        changes |= {"seed": self.settings.seed + round} if hasattr(self.settings, "seed") else {}
        strategy = build_strategy(self.settings.model_copy(update=changes), self._evaluation)
        inputs = ModelInputs(1, prompt=torch.tensor([before], device=self._device))
        sentence = SentenceInput(index, [])
        processors = () if stream is None or strategy.num_hypotheses(sentence) > 1 else (stream,)
        constraints = BatchConstraints([sentence], self._suppress_tokens, processors=processors)
        with autocast(self._device, self._precision):
            (found,) = strategy.search(self.model, inputs, constraints)
        if not found:
            raise ModelError(f"prompt {index}: the logits are not finite; the model is damaged or has diverged")
        (ranked,) = strategy.rerank([found], lambda rows: [self._decode(row) for row in rows])
        if stream is not None:
            stream.extend(ranked[0].tokens)
        return ranked

    def _continuation(self, prompt: list[int], hypothesis: Hypothesis) -> Continuation:
        text = self._decode([*prompt, *hypothesis.tokens])[len(self._decode(prompt)) :]
        return Continuation(
            text, hypothesis.log_probability, hypothesis.score, len(hypothesis.tokens), hypothesis.has_eos
        )

    def _decode(self, ids: list[int]) -> str:
        return decode_document(self.tokenizer.target, ids)


class _Stream(StatelessProcessor):
    """Passes the text of the only hypothesis of a search on while it grows; changes no score."""

    def __init__(self, decode: Callable[[list[int]], str], prompt: list[int], on_text: OnText) -> None:
        self._decode, self._tokens, self._on_text = decode, prompt, on_text
        self._prompt_length, self._written = len(decode(prompt)), 0

    def __call__(self, scores: Tensor, prefixes: Tensor, state: None) -> tuple[Tensor, None]:
        self._write(self._decode([*self._tokens, *prefixes[0, 0, 1:].tolist()]))
        return scores, None

    def extend(self, tokens: tuple[int, ...]) -> None:
        """Begin a new search after these tokens."""
        self._tokens = [*self._tokens, *tokens]

    def finish(self, text: str) -> None:
        """Pass on what is left of the text."""
        self._on_text(text[self._written :])

    def _write(self, text: str) -> None:
        new = text[self._prompt_length + self._written :]
        if new and not new.endswith(_INCOMPLETE):
            self._on_text(new)
            self._written += len(new)
