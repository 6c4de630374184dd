"""The generation settings of a Hugging Face model as settings of `decoding`."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from nmt_cli.interop.foreign import read_object
from nmt_cli.interop.huggingface.architecture import Config

_NAMES = {
    "num_beams": "beam_size",
    "length_penalty": "length_penalty",
    "early_stopping": "early_stopping",
    "no_repeat_ngram_size": "no_repeat_ngram_size",
    "num_beam_groups": "num_beam_groups",
    "diversity_penalty": "diversity_penalty",
}
"""Settings that mean the same in nmt."""
_FILTERS = {
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "epsilon_cutoff": "epsilon",
}
"""Settings of sampling that mean the same in nmt; zero switches each off."""
_DEFAULT_TOP_K = 50
_LENGTHS = {
    "min_new_tokens": "min_length",
    "max_new_tokens": "max_length",
    "no_repeat_ngram_size": "no_repeat_ngram_size",
}
"""Settings of any search of a language model. `min_length` and `max_length` of transformers include the prompt."""
_NEUTRAL: Mapping[str, Any] = {
    "repetition_penalty": 1.0,
    "encoder_repetition_penalty": 1.0,
    "bad_words_ids": None,
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
    "forced_decoder_ids": None,
    "exponential_decay_length_penalty": None,
    "penalty_alpha": None,
    "constraints": None,
    "renormalize_logits": False,
    "guidance_scale": None,
}
"""Settings that change texts and are not imported, with the values that change nothing."""
_OF_TRANSLATORS: Mapping[str, Any] = {"do_sample": False, "min_new_tokens": None, "max_new_tokens": None}
"""Further ones that are imported only of language models."""


def decoding_settings(
    folder: Path, config: Mapping[str, Any], num_prompt_tokens: int, not_text: Collection[int] = ()
) -> tuple[dict[str, Any], list[str]]:
    """Return the settings of `decoding`, and a warning for each generation setting that nmt does not follow.

    Args:
        num_prompt_tokens: Target tokens before each translation. transformers counts them towards `min_length` and
            `max_length`, and eos towards `max_length`.
        not_text: Tokens that nmt never generates, so that they need not be suppressed.
    """
    path, given = _read(folder, config)
    decoding = _beam_search(path, given)
    for name, num_others in (("max_length", num_prompt_tokens + 1), ("min_length", num_prompt_tokens)):
        if isinstance(given.get(name), int) and given[name] > num_others:
            decoding[name] = given[name] - num_others
    return decoding, _ignored(path, given, {**_NEUTRAL, **_OF_TRANSLATORS}, not_text)


def generation_settings(
    folder: Path, config: Mapping[str, Any], window: int, not_text: Collection[int] = ()
) -> tuple[dict[str, Any], list[str]]:
    """Return the settings of `decoding` of a language model, and a warning for each that nmt does not follow.

    A model that names no search keeps the default of nmt, sampling.

    Args:
        window: Tokens that the model reads at once.
        not_text: See decoding_settings.
    """
    path, given = _read(folder, config)
    neutral = dict(_NEUTRAL)
    if given.get("do_sample"):
        top_k = _DEFAULT_TOP_K if given.get("top_k") is None else given["top_k"]
        filters = {ours: {**given, "top_k": top_k}.get(theirs) for theirs, ours in _FILTERS.items()}
        decoding = {"strategy": "sampling", **{name: value for name, value in filters.items() if value}}
        neutral |= {"num_beams": 1, "typical_p": 1.0, "eta_cutoff": 0.0}
    elif any(given.get(name) is not None for name in ("do_sample", "num_beams", *_FILTERS)):
        decoding = _beam_search(path, given)
    else:
        decoding = {"strategy": "sampling", "top_p": 0.95}
    decoding |= {ours: given[theirs] for theirs, ours in _LENGTHS.items() if given.get(theirs)}
    if not given.get("min_new_tokens"):
        neutral["min_length"] = 0
    if not given.get("max_new_tokens") and not _is_at_least(given.get("max_length"), window):
        neutral["max_length"] = None
    if isinstance(ends := given.get("eos_token_id"), list) and len(ends) > 1:
        neutral["eos_token_id"] = None  # a text of nmt has one end
    return decoding, _ignored(path, given, neutral, not_text)


def _is_at_least(value: Any, limit: int) -> bool:
    return isinstance(value, int) and value >= limit


def _read(folder: Path, config: Mapping[str, Any]) -> tuple[Path, Mapping[str, Any]]:
    """Return the path of the file, and its settings with those of older versions, which are in the configuration."""
    path = folder / "generation_config.json"
    return path, {**config, **(read_object(path) if path.is_file() else {})}


def _beam_search(path: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    decoding: dict[str, Any] = {"strategy": "beam", "beam_size": 1}
    decoding |= {ours: given[theirs] for theirs, ours in _NAMES.items() if given.get(theirs)}
    if decoding.get("num_beam_groups", 1) != 1:
        decoding.setdefault("diversity_penalty", 0.0)
    return decoding | {"length_penalty": Config(path, given).get("length_penalty", float, 1.0)}


def _ignored(path: Path, given: Mapping[str, Any], neutral: Mapping[str, Any], not_text: Collection[int]) -> list[str]:
    """Return a warning for each setting that changes texts and is not imported; null is the same as missing."""
    return [
        f"{path.name}: {name}: {given[name]} is not imported"
        for name, value in neutral.items()
        if given.get(name) not in (None, value) and not _is_suppressed(name, given[name], not_text)
    ]


def _is_suppressed(name: str, value: Any, not_text: Collection[int]) -> bool:
    """Return whether a setting only excludes tokens that are never generated."""
    if name == "bad_words_ids" and isinstance(value, list):
        value = [word[0] if isinstance(word, list) and len(word) == 1 else None for word in value]
    elif name != "suppress_tokens":
        return False
    return isinstance(value, list) and bool(value) and all(type(token) is int and token in not_text for token in value)
