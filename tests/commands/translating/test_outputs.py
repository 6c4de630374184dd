"""Lines leave whole, in portions that a pipe takes at once."""

import io

from hypothesis import given
from hypothesis import strategies as some

from nmt_cli.commands.translating.outputs import write_lines


class Portions(io.BytesIO):
    """Remembers what was written at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, portion: bytes) -> int:  # type: ignore[override]
        self.written.append(portion)
        return super().write(portion)


@given(some.lists(some.integers(0, 6000), max_size=20))
def test_a_portion_is_whole_lines_and_fits_into_a_pipe_unless_one_line_does_not(lengths: list[int]) -> None:
    lines = [b"x" * length + b"\n" for length in lengths]
    target = Portions()

    write_lines(target, b"".join(lines))

    assert target.getvalue() == b"".join(lines)
    for portion in target.written:
        assert portion.endswith(b"\n")
        assert len(portion) <= 4096 or portion.count(b"\n") == 1
