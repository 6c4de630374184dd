"""Lines are written whole, in chunks that a pipe takes atomically."""

import io

from hypothesis import given
from hypothesis import strategies as some

from nmt_cli.commands.translating.outputs import write_lines


class RecordingStream(io.BytesIO):
    """Records each write."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, chunk: bytes) -> int:  # type: ignore[override]
        self.written.append(chunk)
        return super().write(chunk)


@given(some.lists(some.integers(0, 6000), max_size=20))
def test_write_lines_writes_whole_lines_that_fit_into_a_pipe(lengths: list[int]) -> None:
    lines = [b"x" * length + b"\n" for length in lengths]
    target = RecordingStream()

    write_lines(target, b"".join(lines))

    assert target.getvalue() == b"".join(lines)
    for chunk in target.written:
        assert chunk.endswith(b"\n")
        assert len(chunk) <= 4096 or chunk.count(b"\n") == 1
