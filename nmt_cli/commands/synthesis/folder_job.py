"""The job that writes the folder of a corpus: alone, or after jobs that each translate a shard of the text."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nmt_cli import files
from nmt_cli.commands.synthesis.corpus_files import CorpusFolder
from nmt_cli.commands.synthesis.translation_job import SelectedText
from nmt_cli.commands.synthesis.translations import TranslationParts
from nmt_cli.console import Reporter
from nmt_cli.data.preparation.work_folder import WorkFolder
from nmt_cli.processes import ALL_SHARDS, ShardSpec

Translated = list[tuple[SelectedText, TranslationParts]]
"""What each translation job has selected and translated."""


def up_to_date(
    folder: CorpusFolder, origin: Mapping[str, Any], dry_run: bool, reporter: Reporter
) -> dict[str, Any] | None:
    """Return the manifest of a folder that was made from `origin`, which is reported; None if it was not."""
    manifest = folder.current_manifest(origin)
    if manifest is not None:
        if not dry_run:
            WorkFolder(files.target_of(folder.path)).remove_leftovers()
        reporter.info(f"{folder.path} is up to date")
    return manifest


def write_folder(
    folder: CorpusFolder,
    origin: Mapping[str, Any],
    shard: ShardSpec,
    translate: Callable[[Path], Translated],
    write: Callable[[Translated], object],
    reporter: Reporter,
) -> tuple[Translated, dict[str, Any] | None]:
    """Translate a shard; or the rest of the text, and write the folder.

    Args:
        translate: Translates in the work folder that it is given.
        write: Writes the folder.

    Returns:
        What was translated, nothing if another job has written the folder meanwhile; and the manifest, none after a
        shard.
    """
    work, is_complete = WorkFolder(files.target_of(folder.path)), shard == ALL_SHARDS
    with work.locked(None if is_complete else shard):
        if (manifest := folder.current_manifest(origin)) is not None:
            return [], manifest
        translated = translate(work.open())
        if not is_complete:
            reporter.info(f"shard {shard} is ready")
            return translated, None
        write(translated)
        work.remove()
    return translated, folder.read_manifest()
