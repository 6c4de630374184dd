"""Shard specifications are parsed strictly."""

import pytest

from nmt_cli.errors import RecipeError
from nmt_cli.processes import ShardSpec


def test_parse_reads_what_str_writes() -> None:
    assert ShardSpec.parse("2/8") == ShardSpec(2, 8)
    assert str(ShardSpec(2, 8)) == "2/8"


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "a/b", "1/2/3", "-1/2", "1/0"])
def test_parse_refuses_other_text(text: str) -> None:
    with pytest.raises(RecipeError, match=f"^--shard {text}: "):
        ShardSpec.parse(text)
