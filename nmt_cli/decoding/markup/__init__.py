"""Markup and protected text: masked before translation, and reinserted into the translation by word alignment."""

from nmt_cli.decoding.markup.transfer import MarkupTransfer, MaskedSearch, compile_protected

__all__ = ["MarkupTransfer", "MaskedSearch", "compile_protected"]
