"""Text in arguments that is not UTF-8 is an error of one line, or is written in escapes."""

import pytest
from typer.testing import CliRunner

from nmt_cli.cli import app
from nmt_cli.errors import DataError
from nmt_cli.recipe.loading import given_yaml, recipe_from_settings

NOT_UTF8 = "a\udc80b"


@pytest.mark.parametrize(
    "arguments",
    [
        ["attention", "model", NOT_UTF8],
        ["attention", "model", "two", "--translation", NOT_UTF8],
        ["generate", "model", "--prompt", NOT_UTF8],
        ["translate", "model", "--protect", NOT_UTF8],
    ],
)
def test_text_that_is_not_utf8_is_refused(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, arguments)

    assert isinstance(result.exception, DataError)
    assert "contains bytes that are not UTF-8" in str(result.exception)


def test_written_recipe_can_name_such_files() -> None:
    corpus = {"lines": {"source": NOT_UTF8, "target": "b"}}
    data = {"source_language": "en", "target_language": "de", "prepared": "p", "train": corpus, "valid": corpus}
    model = {"architecture": "transformer", "preset": "tiny"}
    recipe = recipe_from_settings({"run": "r", "data": data, "model": model}, "settings")

    text = given_yaml(recipe, {(): f"{NOT_UTF8}\r\x85run: elsewhere"})
    assert text.encode().splitlines()[0] == rb"# a\udc80b\r\x85run: elsewhere"
    assert r"a\uDC80b" in text
