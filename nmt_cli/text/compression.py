"""Packed files, known by how they begin: gzip, xz and zstd, of one member or many; what is damaged is told."""

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
"""A frame, or one to be skipped, with which pzstd begins."""
_LONGEST_MAGIC = 6
_BLOCK = 1 << 17


class DecompressionError(Exception):
    """A packed file cannot be unpacked to its end; says of which kind it is, and what is wrong."""


def unpacked(file: io.BufferedReader) -> IO[bytes]:
    """What a file holds, unpacked while it is read; of a file that is not packed, itself.

    Reading raises DecompressionError where the file is cut off, or does not hold what its checksums say.
    """
    magic = file.peek(_LONGEST_MAGIC)[:_LONGEST_MAGIC]
    if magic.startswith(_GZIP):
        return io.BufferedReader(_Gzip(file), _BLOCK)
    if magic.startswith(_XZ):
        return io.BufferedReader(_Unpacked(file, "xz", lzma.LZMADecompressor, lzma.LZMAError), _BLOCK)
    if magic.startswith(_ZSTD):
        zstd = _import_zstd()
        return io.BufferedReader(_Unpacked(file, "zstd", zstd.ZstdDecompressor, zstd.ZstdError), _BLOCK)
    return file


def _import_zstd() -> Any:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd


class _Gzip(io.RawIOBase):
    """The members of a gzip file, one after another."""

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


class _Unpacked(io.RawIOBase):
    """The members of an xz or zstd file, one after another.

    The readers of the standard library take what is no member, after a first one, for the end.
    """

    def __init__(
        self, file: IO[bytes], kind: str, new_decompressor: Callable[[], Any], mistake: type[Exception]
    ) -> None:
        self._file, self._kind, self._new, self._mistake = file, kind, new_decompressor, mistake
        self._decompressor = new_decompressor()

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._file.fileno()

    def readinto(self, buffer: Any) -> int:
        try:
            content = self._next(len(buffer))
        except self._mistake as error:
            raise DecompressionError(f"damaged {self._kind} ({error})") from error
        buffer[: len(content)] = content
        return len(content)

    def _next(self, size: int) -> bytes:
        """Some bytes, at most so many; none at the end of the file."""
        while True:
            packed = b""
            if self._decompressor.eof:
                packed = self._between_members()
                if not packed:
                    return b""
                self._decompressor = self._new()
            elif self._decompressor.needs_input:
                packed = self._file.read(_BLOCK)
                if not packed:
                    raise DecompressionError(f"damaged {self._kind} (it is cut off)")
            content: bytes = self._decompressor.decompress(packed, size)
            if content:
                return content

    def _between_members(self) -> bytes:
        """How the next member begins; xz may put zeros before it."""
        packed: bytes = self._decompressor.unused_data or self._file.read(_BLOCK)
        while self._kind == "xz" and packed and not packed.strip(b"\0"):
            packed = self._file.read(_BLOCK)
        return packed.lstrip(b"\0") if self._kind == "xz" else packed
