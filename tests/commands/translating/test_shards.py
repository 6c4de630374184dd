"""Parts of a file: each line is in exactly one, and `cat` joins them in order."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from nmt_cli.commands.translating.inputs import ByteRange, shard_range
from nmt_cli.processes.sharding import ShardSpec


def parts(path: Path, count: int) -> list[tuple[ByteRange, bytes]]:
    with path.open("rb") as file:
        sections = [shard_range(file, ShardSpec(number, count)) for number in range(1, count + 1)]
        return [(section, section.stream().read()) for section in sections]


@given(
    content=some.lists(some.sampled_from([b"\n", b"a", b"bc\n", b"\r", b"long " * 9])).map(b"".join),
    count=some.integers(1, 9),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_line_is_in_exactly_one_part(tmp_path: Path, content: bytes, count: int) -> None:
    path = tmp_path / "in"
    path.write_bytes(content)

    found = parts(path, count)

    assert b"".join(part for _, part in found) == content
    before = 0
    for section, part in found:
        assert not part or part.endswith(b"\n") or section.stop == len(content)
        assert section.first_line == before + 1
        before += part.count(b"\n")


def test_parts_are_about_equal(tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.write_bytes(b"".join(b"line %d\n" % number for number in range(1000)))

    sizes = [len(part) for _, part in parts(path, 7)]

    assert max(sizes) - min(sizes) <= 2 * len(b"line 999\n")


def test_what_is_added_meanwhile_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.write_bytes(b"one\n")
    with path.open("rb") as file:
        section = shard_range(file, ShardSpec(1, 1))
        with path.open("ab") as more:
            more.write(b"two\n")
        assert section.stream().read() == b"one\n"
