"""Read files compressed with gzip, xz or zstd, with one or several members, and detect damage."""

import gzip
import io
import lzma
import sys
import zlib
from collections.abc import Callable
from typing import IO, Any

_GZIP = b"\x1f\x8b"
_XZ = b"\xfd7zXZ\x00"
_ZSTD = (b"\x28\xb5\x2f\xfd", *(bytes([0x50 + number]) + b"\x2a\x4d\x18" for number in range(16)))
"""A frame, or a skippable frame, with which files of pzstd begin."""
_MAX_MAGIC_BYTES = 6
_BLOCK = 1 << 17


class DecompressionError(Exception):
    """A compressed file is damaged. The message gives the format and the cause."""


def decompressed(file: io.BufferedReader) -> IO[bytes]:
    """Return a stream of the decompressed content; the file itself if it is not compressed.

    Reading raises DecompressionError if the file is truncated or a checksum does not match.
    """
    magic = file.peek(_MAX_MAGIC_BYTES)[:_MAX_MAGIC_BYTES]
    if magic.startswith(_GZIP):
        return io.BufferedReader(_Gzip(file), _BLOCK)
    if magic.startswith(_XZ):
        return io.BufferedReader(_Decompressor(file, "xz", lzma.LZMADecompressor, lzma.LZMAError), _BLOCK)
    if magic.startswith(_ZSTD):
        zstd = _import_zstd()
        return io.BufferedReader(_Decompressor(file, "zstd", zstd.ZstdDecompressor, zstd.ZstdError), _BLOCK)
    return file


def _import_zstd() -> Any:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd


class _Gzip(io.RawIOBase):
    """Reads the members of a gzip file, one after another."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = gzip.GzipFile(fileobj=file)

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._file.fileno()

    def readinto(self, buffer: Any) -> int:
        try:
            return self._file.readinto(buffer)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DecompressionError(f"damaged gzip ({error})") from error


class _Decompressor(io.RawIOBase):
    """Reads the members of an xz or zstd file, one after another.

    The readers of the standard library silently stop at invalid data after the first member.
    """

    def __init__(
        self, file: IO[bytes], kind: str, new_decompressor: Callable[[], Any], error_class: type[Exception]
    ) -> None:
        self._file, self._kind, self._new, self._error_class = file, kind, new_decompressor, error_class
        self._decompressor = new_decompressor()

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._file.fileno()

    def readinto(self, buffer: Any) -> int:
        try:
            content = self._next(len(buffer))
        except self._error_class as error:
            raise DecompressionError(f"damaged {self._kind} ({error})") from error
        buffer[: len(content)] = content
        return len(content)

    def _next(self, size: int) -> bytes:
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
                    raise DecompressionError(f"damaged {self._kind} (truncated)")
            content: bytes = self._decompressor.decompress(compressed, size)
            if content:
                return content

    def _between_members(self) -> bytes:
        """Return the first bytes of the next member; xz allows zeros before it."""
        compressed: bytes = self._decompressor.unused_data or self._file.read(_BLOCK)
        while self._kind == "xz" and compressed and not compressed.strip(b"\0"):
            compressed = self._file.read(_BLOCK)
        return compressed.lstrip(b"\0") if self._kind == "xz" else compressed
