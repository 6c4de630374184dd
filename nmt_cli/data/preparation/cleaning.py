"""From raw chunks of any corpus to the normalised examples that its filters keep."""

from nmt_cli.data.filters import FilterPipeline, FilterResult, HeldOutKeys, KeyFilter, build_filters
from nmt_cli.data.preparation.corpora import CorpusTask
from nmt_cli.data.reading import DropCounts, RawChunk, decode
from nmt_cli.recipe.data import Data


class ChunkCleaner:
    """Decodes, normalises and filters chunks. Of validation corpora only pairs with an empty side are dropped."""

    def __init__(self, data: Data, normalization: str, held_out: HeldOutKeys) -> None:
        self._data, self._normalization, self._held_out = data, normalization, held_out
        self._pipelines = dict[str, FilterPipeline]()

    def __call__(self, task: CorpusTask, chunk: RawChunk) -> tuple[FilterResult, DropCounts]:
        """Return what the filters keep of a chunk, and what was dropped up to here."""
        examples, drops = decode(task.corpus, chunk, self._data.on_error)
        result = self._pipeline(task).apply(examples)
        for reason, indices in result.dropped.items():
            drops.add(reason, len(indices), result.normalized.dropped(indices))
        return result, drops

    def _pipeline(self, task: CorpusTask) -> FilterPipeline:
        if task.name not in self._pipelines:
            self._pipelines[task.name] = FilterPipeline(
                self._data.filters if task.is_training else [],
                task.languages,
                self._held_out,
                self._normalization,
                task.name.partition("/")[2],
            )
        return self._pipelines[task.name]


def drop_reasons(data: Data) -> dict[str, str]:
    """Return the description of each reason for which pairs are dropped, in the order in which they are checked."""
    filters = build_filters(data.filters, (data.source_language, data.target_language), HeldOutKeys.of())
    return {
        "not_utf8": "a line is not UTF-8",
        "no_record": "a line is not a record of the format",
        "no_language": "one of the languages is missing",
        "factors": "a factor does not have one value per word",
        **{each.name: each.description for each in filters if not isinstance(each, KeyFilter)},
        "too_long": f"a side has more than {data.max_length:,} subwords",
        **{each.name: each.description for each in filters if isinstance(each, KeyFilter)},
    }
