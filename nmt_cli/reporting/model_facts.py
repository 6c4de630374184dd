"""What `nmt show` prints of a model folder."""

from typing import Any


def model_facts(config: Any, manifest: Any) -> dict[str, str]:
    """Describe a model by the contents of its configuration and manifest, which may be of any type."""
    facts = {}
    if isinstance(config, dict):
        facts["languages"] = f"{config.get('source_language')} → {config.get('target_language')}"
        if isinstance(config.get("language_tokens"), list):
            facts["languages"] = ", ".join(map(str, config["language_tokens"]))
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
