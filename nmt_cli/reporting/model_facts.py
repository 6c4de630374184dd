"""What `nmt show` prints of a model folder, and of adapters (LoRA)."""

from pathlib import Path
from typing import Any

from nmt_cli import files
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.tags import tag_languages
from nmt_cli.errors import ModelError, NmtError
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.runs.directory import ADAPTER_CONFIG, ADAPTER_WEIGHTS, WEIGHTS, RunDirectory, count_parameters

_HASH_LENGTH = 12


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
            encoder = model.get("encoder")
            if isinstance(encoder, dict) and encoder.get("type") != "flat":
                facts["encoder"] = str(encoder.get("type"))
        if isinstance(vocabulary, dict):
            facts["subwords"] = f"{vocabulary.get('source_size')} source, {vocabulary.get('target_size')} target"
    if isinstance(manifest, dict) and isinstance(updates := manifest.get("averaged_updates"), list):
        facts["average of updates" if updates[1:] else "checkpoint of update"] = ", ".join(map(str, updates))
    if isinstance(manifest, dict) and isinstance(manifest.get("imported"), str):
        facts["imported from"] = f"{manifest['imported']}, licence: {manifest.get('licence') or 'not named'}"
    return facts


def parameter_facts(folder: Path) -> dict[str, str]:
    """Return the number of parameters of a model or checkpoint."""
    try:
        return {"parameters": f"{count_parameters(folder / WEIGHTS):,}"}
    except ModelError:
        return {"parameters": "cannot be read"}


def _source_tags(tokenizer: Path) -> list[str]:
    """Return the names of the tags of a tokenizer, without reading its vocabulary."""
    settings = files.read_json(tokenizer / "tokenizer.json", ModelError) if Tokenizer.is_saved_in(tokenizer) else None
    match settings:
        case {"sides": {"joint": {"tags": dict(tags)}} | {"source": {"tags": dict(tags)}}}:
            return [str(name) for name in tags]
    return []


def is_adapter_folder(folder: Path) -> bool:
    """Return whether a folder contains an adapter."""
    return (folder / ADAPTER_CONFIG).is_file()


def adapter_facts(folder: Path) -> dict[str, str]:
    """Describe an adapter by its settings; ModelError if they cannot be read."""
    match files.read_json(folder / ADAPTER_CONFIG, ModelError):
        case {"base": {"parameters": str(parameters)}, "lora": {"rank": int(rank), **others}}:
            pass
        case _:
            raise ModelError(f"{folder / ADAPTER_CONFIG}: is not an adapter of this version of nmt")
    facts = {"rank": str(rank), "alpha": str(others.get("alpha"))}
    if isinstance(targets := others.get("targets"), list):
        facts["targets"] = ", ".join(map(str, targets))
    if isinstance(also_trained := others.get("also_train"), list) and also_trained:
        facts["trained in full"] = ", ".join(map(str, also_trained))
    facts["parameters"] = f"{count_parameters(folder / ADAPTER_WEIGHTS):,}"
    facts["base"] = f"model with parameters of SHA-256 {parameters[:_HASH_LENGTH]}…"
    if (path := _base(folder.absolute().parent)) is not None:
        facts["base"] = f"{path}, {facts['base']}"
    return facts


def adapters_of(run: RunDirectory) -> dict[str, str]:
    """Return a fact for the adapter of a run, by its folder's name; none if the run has no adapter."""
    if not is_adapter_folder(run.adapter):
        return {}
    try:
        facts = adapter_facts(run.adapter)
    except ModelError:
        return {run.adapter.name: "cannot be read"}
    return {run.adapter.name: "; ".join(f"{name} {value}" for name, value in facts.items())}


def _base(folder: Path) -> Path | None:
    """Return the model from which the run in a folder starts; None if there is no run."""
    run = RunDirectory(folder)
    try:
        return load_recipe(run.resolved).training.start_from if run.summary.is_file() else None
    except NmtError:
        return None
