"""What `nmt show` prints of a model folder."""

from pathlib import Path
from typing import Any

from nmt_cli import files
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.tags import tag_languages
from nmt_cli.errors import ModelError


def model_facts(config: Any, manifest: Any, tokenizer: Path) -> dict[str, str]:
    """Describe a model by its configuration and manifest, which may be of any type, and its tokenizer's folder."""
    facts = {}
    if isinstance(config, dict):
        facts["languages"] = f"{config.get('source_language')} → {config.get('target_language')}"
        if isinstance(config.get("language_tokens"), list):
            facts["languages"] = ", ".join(map(str, config["language_tokens"]))
        elif languages := tag_languages(_source_tags(tokenizer)):
            facts["target languages"] = ", ".join(languages)
        model, vocabulary = config.get("model"), config.get("vocabulary")
        if isinstance(model, dict):
            facts["architecture"] = str(model.get("architecture"))
        if isinstance(vocabulary, dict):
            facts["subwords"] = f"{vocabulary.get('source_size')} source, {vocabulary.get('target_size')} target"
    if isinstance(manifest, dict) and isinstance(updates := manifest.get("averaged_updates"), list):
        facts["average of updates" if updates[1:] else "checkpoint of update"] = ", ".join(map(str, updates))
    if isinstance(manifest, dict) and isinstance(manifest.get("imported"), str):
        facts["imported from"] = f"{manifest['imported']}, licence: {manifest.get('licence') or 'not named'}"
    return facts


def _source_tags(tokenizer: Path) -> list[str]:
    """Return the names of the tags of a tokenizer, without reading its vocabulary."""
    settings = files.read_json(tokenizer / "tokenizer.json", ModelError) if Tokenizer.is_saved_in(tokenizer) else None
    match settings:
        case {"sides": {"joint": {"tags": dict(tags)}} | {"source": {"tags": dict(tags)}}}:
            return [str(name) for name in tags]
    return []
