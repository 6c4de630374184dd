"""Shards of a file: each line is in exactly one, and `cat` joins them in order."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from nmt_cli.commands.translating.inputs import ByteRange, shard_range
from nmt_cli.processes import ShardSpec


def read_shards(path: Path, count: int) -> list[tuple[ByteRange, bytes]]:
    with path.open("rb") as file:
        ranges = [shard_range(file, ShardSpec(number, count)) for number in range(1, count + 1)]
        return [(byte_range, byte_range.stream().read()) for byte_range in ranges]


@given(
    content=some.lists(some.sampled_from([b"\n", b"a", b"bc\n", b"\r", b"long " * 9])).map(b"".join),
    count=some.integers(1, 9),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_line_is_in_exactly_one_shard(tmp_path: Path, content: bytes, count: int) -> None:
    path = tmp_path / "in"
    path.write_bytes(content)

    found = read_shards(path, count)

    assert b"".join(shard for _, shard in found) == content
    before = 0
    for byte_range, shard in found:
        assert not shard or shard.endswith(b"\n") or byte_range.stop == len(content)
        assert byte_range.first_line == before + 1
        before += shard.count(b"\n")


def test_shards_have_about_the_same_size(tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.write_bytes(b"".join(b"line %d\n" % number for number in range(1000)))

    sizes = [len(shard) for _, shard in read_shards(path, 7)]

    assert max(sizes) - min(sizes) <= 2 * len(b"line 999\n")


def test_shard_excludes_lines_added_later(tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.write_bytes(b"one\n")
    with path.open("rb") as file:
        byte_range = shard_range(file, ShardSpec(1, 1))
        with path.open("ab") as more:
            more.write(b"two\n")
        assert byte_range.stream().read() == b"one\n"
