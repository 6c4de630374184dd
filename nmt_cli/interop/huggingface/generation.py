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
}
"""Settings that mean the same in nmt."""
_NEUTRAL: Mapping[str, Any] = {
    "do_sample": False,
    "repetition_penalty": 1.0,
    "encoder_repetition_penalty": 1.0,
    "diversity_penalty": 0.0,
    "bad_words_ids": None,
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
    "forced_decoder_ids": None,
    "exponential_decay_length_penalty": None,
    "penalty_alpha": None,
    "constraints": None,
    "renormalize_logits": False,
    "guidance_scale": None,
    "min_new_tokens": None,
    "max_new_tokens": None,
}
"""Settings that change translations and are not imported, with the values that change nothing."""


def decoding_settings(
    folder: Path, config: Mapping[str, Any], num_prompt_tokens: int, not_text: Collection[int] = ()
) -> tuple[dict[str, Any], list[str]]:
    """Return the settings of `decoding`, and a warning for each generation setting that nmt does not follow.

    Args:
        num_prompt_tokens: Target tokens before each translation, which count towards lengths in transformers. Towards
            the maximum, eos counts, too.
        not_text: Tokens that nmt never generates, so that they need not be suppressed.
    """
    path = folder / "generation_config.json"
    given = {**config, **(read_object(path) if path.is_file() else {})}
    decoding: dict[str, Any] = {"strategy": "beam", "beam_size": 1}
    decoding |= {ours: given[theirs] for theirs, ours in _NAMES.items() if given.get(theirs)}
    decoding["length_penalty"] = Config(path, given).get("length_penalty", float, 1.0)
    for name, num_others in (("max_length", num_prompt_tokens + 1), ("min_length", num_prompt_tokens)):
        if isinstance(given.get(name), int) and given[name] > num_others:
            decoding[name] = given[name] - num_others
    ignored = [
        f"{path.name}: {name}: {given[name]} is not imported"
        for name, neutral in _NEUTRAL.items()
        if given.get(name, neutral) != neutral and not _is_suppressed(name, given[name], not_text)
    ]
    return decoding, ignored


def _is_suppressed(name: str, value: Any, not_text: Collection[int]) -> bool:
    """Return whether a setting only excludes tokens that are never generated."""
    if name == "bad_words_ids" and isinstance(value, list):
        value = [word[0] if isinstance(word, list) and len(word) == 1 else None for word in value]
    elif name != "suppress_tokens":
        return False
    return isinstance(value, list) and bool(value) and all(type(token) is int and token in not_text for token in value)
