"""nmt preprocess: from raw text to tokenizer and token arrays."""

from collections.abc import Iterator
from typing import Any

from nmt_cli.commands.taken_tokenizer import taken_tokenizer
from nmt_cli.console import say, table
from nmt_cli.data.preparation.preparing import WHOLE, Job, check_paths, clear_away, prepare
from nmt_cli.data.prepared import Prepared, is_current, open_prepared
from nmt_cli.recipe.schema import Recipe


def preprocess(recipe: Recipe, job: Job = WHOLE, processes: int = 1, dry_run: bool = False) -> None:
    """Fill the recipe's prepared folder, unless it already holds just that; or do one job's part of that."""
    folder = recipe.data.prepared
    check_paths(recipe)
    taken = taken_tokenizer(recipe)
    if is_current(recipe, taken):
        if not dry_run:
            clear_away(folder)
        say(f"{folder} is up to date; nothing to do")
        return
    corpora = {**recipe.data.train, **recipe.data.valid}
    if taken:
        say(f"the tokenizer is that of {recipe.tokenizer.take_from}; other settings of it do not count")
    say(f"{'would prepare' if dry_run else 'preparing'} {', '.join(corpora)} in {folder}")
    if dry_run:
        return
    prepare(recipe, taken, job, processes)
    if not job.merges:
        assert job.part is not None
        say(f"part {job.part} is ready; when all are, run: nmt preprocess --merge, with the same recipe")
        return
    _report(open_prepared(recipe, taken))
    say(f"{folder} is ready; next: nmt train, with the same recipe")


def _report(prepared: Prepared) -> None:
    corpora: dict[str, dict[str, Any]] = prepared.manifest["corpora"]
    table("Corpora", ["corpus", "read", "kept", "source tokens", "target tokens", "mean length"], _rows(corpora))
    if any(counts["dropped"] for counts in corpora.values()):
        table("Dropped", ["corpus", "why", "pairs", "of all"], _losses(corpora))
        _show_examples(corpora)
    sizes = prepared.tokenizer.source_size, prepared.tokenizer.target_size
    if prepared.tokenizer.joint:
        say(f"vocabulary: {sizes[0]:,} subwords for both languages")
    else:
        say(f"vocabularies: {sizes[0]:,} source and {sizes[1]:,} target subwords")


def _rows(corpora: dict[str, dict[str, Any]]) -> Iterator[list[str]]:
    for name, counts in corpora.items():
        tokens = [counts["source_tokens"], counts["target_tokens"]]
        means = " → ".join(f"{count / counts['kept']:.1f}" for count in tokens)
        yield [name, *(f"{number:,}" for number in (counts["read"], counts["kept"], *tokens)), means]


def _losses(corpora: dict[str, dict[str, Any]]) -> Iterator[list[str]]:
    for name, counts in corpora.items():
        for reason, dropped in counts["dropped"].items():
            yield [name, reason.replace("_", " "), f"{dropped:,}", f"{dropped / counts['read']:.2%}"]


def _show_examples(corpora: dict[str, dict[str, Any]]) -> None:
    """One of each kind, so that a filter that drops good pairs is noticed; the manifest has more."""
    for name, counts in corpora.items():
        for reason, examples in counts["examples"].items():
            first, texts = examples[0], []
            for side in ("source", "target"):
                text = first[side]
                texts.append(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")
            say(f"{name}: {reason.replace('_', ' ')}, such as record {first['record']:,}: {' ||| '.join(texts)}")


_SHOWN = 60
"""Characters of an example's sides."""
