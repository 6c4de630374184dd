"""Systems are measured on a set as they would translate it: with its languages, and its lines in context."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from synthesis_project import write_lines

from nmt_cli import console
from nmt_cli.commands.synthesis import side_by_side
from nmt_cli.commands.synthesis.side_by_side import measure
from nmt_cli.decoding.requests import Request, TranslateOptions
from nmt_cli.recipe.loading import load_recipe


@dataclass
class _Copying:
    """A translator that copies each source line and remembers what it was given."""

    options: list[TranslateOptions] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    context: Any = field(default_factory=lambda: SimpleNamespace(size=1))

    def open(self, options: TranslateOptions) -> "_Copying":
        self.options.append(options)
        return self

    def translate(self, requests: Iterable[Request]) -> Iterator[Any]:
        self.requests = list(requests)
        return (SimpleNamespace(best=SimpleNamespace(text=each.text)) for each in self.requests)


def test_lines_are_translated_in_context_and_in_the_languages_of_the_set(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    translator = _Copying()
    monkeypatch.setattr(side_by_side, "open_translator", translator.open)
    config = side_by_side.config_of_model
    monkeypatch.setattr(
        side_by_side, "config_of_model", lambda found: config(found).model_copy(update={"language_tokens": ["en"]})
    )
    write_lines("dev.de", ["one", "two", "", "three"])
    write_lines("dev.en", ["one", "two", "", "three"])
    recipe = load_recipe(project, ["data.language_tags=true", "data.valid.dev.target_language=fr"])
    measured = measure(recipe, {"copy": TranslateOptions((Path("reverse"),))}, console)

    assert [each.context for each in translator.requests] == [(), ("one",), (), ()]
    assert {each.target_language for each in translator.requests} == {"fr"}
    assert translator.options == [
        replace(TranslateOptions((Path("reverse"),)), source_language="de", target_language="fr")
    ]
    assert measured.sentences == 4
