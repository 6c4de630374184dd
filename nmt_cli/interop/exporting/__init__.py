"""Exports: one row for each format, all verified and described in the same way."""

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from nmt_cli.errors import ModelError
from nmt_cli.interop.exporting import bergamot, ctranslate2, huggingface, marian, onnx
from nmt_cli.interop.exporting.marian_program import MarianProgram
from nmt_cli.interop.exporting.model import ExportedModel, ExportFormat
from nmt_cli.interop.exporting.model_card import count_parameters, write_model_card
from nmt_cli.interop.exporting.verification import MAX_DIFFERENCE, Translate, verify

FORMATS: dict[str, ExportFormat] = {
    "ctranslate2": ExportFormat("CTranslate2", "ctranslate2", ctranslate2.write, ctranslate2.CTranslate2Program),
    "bergamot": ExportFormat("Bergamot", "fxtranslate", bergamot.write, bergamot.BergamotProgram),
    "marian": ExportFormat("Marian", "pymarian", marian.write, MarianProgram),
    "huggingface": ExportFormat(
        "Hugging Face transformers", "transformers", huggingface.write, huggingface.HuggingFaceProgram
    ),
    "onnx": ExportFormat("ONNX Runtime", "onnxruntime", onnx.write, onnx.OnnxProgram),
}
"""By value of `--to`."""


def export(
    exported: ExportedModel,
    to: str,
    folder: Path,
    held_out: tuple[Sequence[str], Sequence[str]] | None,
    translate: Translate,
) -> str:
    """Write an export with its model card, and verify it if its program is installed; return the result.

    Args:
        to: Key in FORMATS.
        folder: An empty folder.
        held_out: See verify.
        translate: See verify.

    Raises:
        ModelError: The format cannot hold the model, or the program does not agree with nmt.
        ResourceError: A package that writes the format is not installed.
    """
    row = FORMATS[to]
    if names := exported.tokenizer.factors.names:
        raise ModelError(f"data.factors: {', '.join(names)}: {row.title} does not support factors")
    if exported.model.capabilities.copies:
        raise ModelError(f"model.output.type: pointer_generator is not supported by {row.title}")
    usage = {**row.write(exported, folder), "parameters": count_parameters(exported)}  # verification removes some
    write_model_card(exported, to, row.title, usage, "unverified", folder)  # verification runs its example
    try:
        program, version = row.open(exported, folder), metadata.version(row.package)
    except (ImportError, metadata.PackageNotFoundError):
        result = f"unverified: {row.package} is not installed"
    else:
        bound = usage.get("max_difference", MAX_DIFFERENCE)
        result = str(verify(exported, program, f"{row.package} {version}", folder, held_out, translate, bound))
    write_model_card(exported, to, row.title, usage, result, folder)
    return result
