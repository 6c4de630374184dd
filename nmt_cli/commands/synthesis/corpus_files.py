"""The folder that a command writes: a corpus of pairs with scores, the recipe that uses it, and a manifest."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmt_cli import __version__, files
from nmt_cli.data.reading.examples import Examples
from nmt_cli.errors import DataError
from nmt_cli.recipe.corpora import LearnedLines
from nmt_cli.text.lines import argument_text

_KIND = "training text made by nmt"
"""Value of `kind` in the manifest."""


@dataclass(frozen=True)
class CorpusFolder:
    """A folder with `source.LANGUAGE`, `target.LANGUAGE`, `scores`, `recipe.yaml` and, written last, `manifest.json`.

    Line n of `scores` is the score of the translation in pair n.
    """

    path: Path
    languages: tuple[str, str]

    @property
    def source(self) -> Path:
        """The sources."""
        return self.path / f"source.{self.languages[0]}"

    @property
    def target(self) -> Path:
        """The targets."""
        return self.path / f"target.{self.languages[1]}"

    @property
    def recipe(self) -> Path:
        """The recipe that trains on the corpus."""
        return self.path / "recipe.yaml"

    def section(self, tag: str | None = None) -> LearnedLines:
        """Return the section of the corpus for a recipe, with only what differs from the defaults."""
        given: dict[str, Any] = {"source": str(self.source), "target": str(self.target)}
        return LearnedLines.model_validate(given | ({"tag": tag} if tag else {}))

    def check(self) -> None:
        """Raise DataError if the path is anything but an empty folder or one that `write` made, or is not UTF-8."""
        argument_text(str(self.path), "--output")  # the recipe contains it
        files.require_name(self.path)
        is_empty = self.path.is_dir() and not any(self.path.iterdir())
        if not self.path.exists() or is_empty:
            return
        try:
            kind = files.read_json(self.path / files.MANIFEST).get("kind")
        except (DataError, AttributeError):
            kind = None
        if kind != _KIND:
            raise DataError(f"{self.path}: contains files not written by this command; choose another --output")

    def read_manifest(self) -> dict[str, Any]:
        """Return the manifest after verifying all files. DataError if the folder is missing or damaged."""
        return files.read_manifest(self.path, DataError)

    def current_manifest(self, origin: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the manifest if the folder is complete and was made from `origin`."""
        try:
            manifest = self.read_manifest()
        except DataError:
            return None
        return manifest if manifest.get("origin") == origin else None

    def require_unchanged(self, origin: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        """Raise DataError if an input has changed since the work on the folder began."""
        changed = ", ".join(key for key in origin if origin[key] != now.get(key))
        if changed:
            raise DataError(f"{self.path}: its inputs have changed during the work ({changed}); run it again")

    def write(self, pairs: Iterable[Examples], describe: Callable[[], tuple[str, Mapping[str, Any]]]) -> None:
        """Write the folder atomically.

        Args:
            pairs: Examples with a column `score`.
            describe: Called after the last pair; returns the recipe and the contents of the manifest, with
                their `origin`.
        """
        with files.new_folder(files.target_of(self.path)) as folder:
            with ExitStack() as stack:
                paths = (folder / self.source.name, folder / self.target.name, folder / "scores")
                sources, targets, scores = (stack.enter_context(path.open("wb")) for path in paths)
                for examples in pairs:
                    for file, lines in (
                        (sources, examples.sources),
                        (targets, examples.targets),
                        (scores, examples.columns["score"]),
                    ):
                        file.write("".join(f"{line}\n" for line in lines).encode())
            recipe, contents = describe()
            (folder / self.recipe.name).write_text(recipe, encoding="utf-8")
            files.write_manifest(folder, {"kind": _KIND, "format": 1, "nmt": __version__, **contents})
