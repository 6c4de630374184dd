"""nmt preprocess: from raw text to tokenizer and token arrays."""

from collections.abc import Iterator
from typing import Any

from nmt_cli.commands.taken_tokenizer import taken_tokenizer
from nmt_cli.console import say, table
from nmt_cli.data.prepared import Prepared, check_paths, is_current, prepare
from nmt_cli.recipe.schema import Recipe


def preprocess(recipe: Recipe, dry_run: bool = False) -> None:
    """Fill the recipe's prepared folder, unless it already holds just that."""
    folder = recipe.data.prepared
    check_paths(recipe)
    taken = taken_tokenizer(recipe)
    if is_current(recipe, taken):
        say(f"{folder} is up to date; nothing to do")
        return
    corpora = {**recipe.data.train, **recipe.data.valid}
    if taken:
        say(f"the tokenizer is that of {recipe.tokenizer.take_from}; other settings of it do not count")
    say(f"{'would prepare' if dry_run else 'preparing'} {', '.join(corpora)} in {folder}")
    if dry_run:
        return
    _report(prepare(recipe, taken))
    say(f"{folder} is ready; next: nmt train, with the same recipe")


def _report(prepared: Prepared) -> None:
    corpora: dict[str, dict[str, Any]] = prepared.manifest["corpora"]
    reasons = sorted({reason for counts in corpora.values() for reason in counts["dropped"]})
    columns = ["corpus", "read", *(f"dropped: {reason.replace('_', ' ')}" for reason in reasons), "kept"]
    columns += ["source tokens", "target tokens", "mean length"]
    table("Corpora", columns, _rows(corpora, reasons))
    sizes = prepared.tokenizer.source_size, prepared.tokenizer.target_size
    if prepared.tokenizer.joint:
        say(f"vocabulary: {sizes[0]:,} subwords for both languages")
    else:
        say(f"vocabularies: {sizes[0]:,} source and {sizes[1]:,} target subwords")


def _rows(corpora: dict[str, dict[str, Any]], reasons: list[str]) -> Iterator[list[str]]:
    for name, counts in corpora.items():
        numbers = [counts["read"], *(counts["dropped"].get(reason, 0) for reason in reasons), counts["kept"]]
        tokens = [counts["source_tokens"], counts["target_tokens"]]
        means = " → ".join(f"{count / counts['kept']:.1f}" for count in tokens)
        yield [name, *(f"{number:,}" for number in numbers + tokens), means]
