"""Read files compressed with gzip, bzip2, xz or zstd, with one or several members, and detect damage."""

import bz2
import gzip
import io
import lzma
import sys
import zlib
from collections.abc import Callable
from typing import IO, Any

_GZIP = b"\x1f\x8b"
_XZ = b"\xfd7zXZ\x00"
_LZMA = b"\x5d\x00\x00"
"""The older format of xz."""
_BZIP2 = tuple(b"BZh%d" % level for level in range(1, 10))
_ZSTD = (b"\x28\xb5\x2f\xfd", *(bytes([0x50 + number]) + b"\x2a\x4d\x18" for number in range(16)))
"""A frame, or a skippable frame, with which files of pzstd begin."""
_MAX_MAGIC_BYTES = 6
_BLOCK = 1 << 17


class DecompressionError(Exception):
    """A compressed file is damaged. The message gives the format and the cause."""


def decompressed(file: io.BufferedReader) -> io.BufferedReader:
    """Return a stream of the decompressed content; the file itself if it is not compressed.

    Reading raises DecompressionError if the file is truncated or a checksum does not match.
    """
    read: Callable[[int], bytes]
    magic = file.peek(_MAX_MAGIC_BYTES)[:_MAX_MAGIC_BYTES]
    if magic.startswith(_GZIP):
        read = gzip.GzipFile(fileobj=file).read
        return io.BufferedReader(_Checked(file, "gzip", read, gzip.BadGzipFile, zlib.error), _BLOCK)
    if magic.startswith(_BZIP2):
        read = _Members(file, bz2.BZ2Decompressor).read
        return io.BufferedReader(_Checked(file, "bzip2", read, OSError), _BLOCK)
    if magic.startswith((_XZ, _LZMA)):
        read = _Members(file, lzma.LZMADecompressor, padding=b"\0").read
        return io.BufferedReader(_Checked(file, "xz", read, lzma.LZMAError), _BLOCK)
    if magic.startswith(_ZSTD):
        zstd = _import_zstd()
        read = _Members(file, zstd.ZstdDecompressor).read
        return io.BufferedReader(_Checked(file, "zstd", read, zstd.ZstdError), _BLOCK)
    return file


def _import_zstd() -> Any:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd


class _Checked(io.RawIOBase):
    """Reads from a decompressor with `read(size)`, and raises DecompressionError if the file is damaged."""

    def __init__(
        self, file: IO[bytes], kind: str, read: Callable[[int], bytes], *error_classes: type[Exception]
    ) -> None:
        self._file, self._kind, self._read = file, kind, read
        self._error_classes: tuple[type[Exception], ...] = (EOFError, *error_classes)

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._file.fileno()

    def readinto(self, buffer: Any) -> int:
        try:
            content = self._read(len(buffer))
        except self._error_classes as error:
            if isinstance(error, OSError) and error.errno is not None:  # of the file; bz2 sets no number
                raise
            raise DecompressionError(f"damaged {self._kind} ({error})") from error
        buffer[: len(content)] = content
        return len(content)


class _Members:
    """Reads the members of an xz or zstd file, one after another.

    The readers of the standard library silently stop at invalid data after the first member.
    """

    def __init__(self, file: IO[bytes], new_decompressor: Callable[[], Any], padding: bytes = b"") -> None:
        self._file, self._new, self._padding = file, new_decompressor, padding
        self._decompressor = new_decompressor()

    def read(self, size: int) -> bytes:
        """Return between 1 and `size` bytes; none at the end of the file."""
        while True:
            compressed = b""
            if self._decompressor.eof:
                compressed = self._between_members()
                if not compressed:
                    return b""
                self._decompressor = self._new()
            elif self._decompressor.needs_input:
                compressed = self._file.read(_BLOCK)
                if not compressed:
                    raise EOFError("truncated")
            content: bytes = self._decompressor.decompress(compressed, size)
            if content:
                return content

    def _between_members(self) -> bytes:
        """Return the first bytes of the next member; xz allows zeros before it."""
        compressed: bytes = self._decompressor.unused_data or self._file.read(_BLOCK)
        while self._padding and compressed and not compressed.strip(self._padding):
            compressed = self._file.read(_BLOCK)
        return compressed.lstrip(self._padding) if self._padding else compressed
