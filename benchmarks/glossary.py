"""Measure the cost and effect of a glossary: terms used, BLEU and time without, with a soft and with a hard glossary.

    python benchmarks/glossary.py runs/multi30k_transformer --source test.en --reference test.de --lines 250

The glossary is made from the references: nouns (in German, words capitalised within a sentence), each for the source
word that it is most often aligned with by the model. So the terms are words of human translations, if not always of
that line. A term counts as used if the translation contains it as often as its source term occurs. BLEU is sacreBLEU's,
against the same references. Translations are neither checked nor repaired.

The second part uses invented target terms for the most frequent of these source words. A term is in the right position
if it stands between the same two words as the noun that the translation without a glossary has for the source word;
source words with no such noun, or two, are not counted. Hard terms are compared with required phrases in constrained
search.
"""

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import sacrebleu

from nmt_cli.commands.loading import load_model
from nmt_cli.commands.translators import create_translator
from nmt_cli.decoding.constraints.glossary import Glossary, GlossaryEntry, GlossaryMode
from nmt_cli.decoding.requests import Request, TranslateOptions
from nmt_cli.decoding.scoring.annotation import AnnotationInput, Annotator
from nmt_cli.decoding.sentences import SentenceInput
from nmt_cli.decoding.translator import InferenceConfig, Translator
from nmt_cli.text.lines import read_lines

_SIGNS = ".,;:!?\"'()"
_INVENTED = [
    "Fangel",
    "Dropse",
    "Mirbel",
    "Tulk",
    "Grense",
    "Wabelo",
    "Knirz",
    "Solmer",
    "Plonke",
    "Zwuff",
    "Harpel",
    "Jombe",
    "Quaster",
    "Rundel",
    "Vimse",
    "Bolk",
    "Trifte",
    "Nalzer",
    "Schlum",
    "Ortke",
]


@dataclass(frozen=True)
class Measured:
    """Of all lines."""

    used: int
    asked: int
    bleu: float
    seconds: float


def main() -> None:
    """Print a table in Markdown: a row for each way to use the glossary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--lines", type=int, default=250)
    parser.add_argument("--bonuses", type=float, nargs="*", default=[1.0, 3.0, 6.0, 10.0])
    parser.add_argument("--set", dest="overrides", action="append", default=["decoding.check=false"])
    given = parser.parse_args()
    sources, references = (list(read_lines(path))[: given.lines] for path in (given.source, given.reference))
    translator = create_translator(load_model(given.model, given.overrides))
    glossary = glossary_of(translator, sources, references)
    ways = {
        "none": with_glossary(translator, glossary.entries, "soft", 0.0),
        **{f"soft, bonus {x:g}": with_glossary(translator, glossary.entries, "soft", x) for x in given.bonuses},
        "hard": with_glossary(translator, glossary.entries, "hard"),
    }
    print(f"{len(glossary.entries)} terms\n")
    print("| glossary | terms used | fraction | BLEU | seconds |\n|:--|--:|--:|--:|--:|", flush=True)
    for name, constrained in ways.items():
        found = measured(constrained, sources, references)
        fraction = found.used / found.asked
        print(
            f"| {name} | {found.used} of {found.asked} | {fraction:.1%} | {found.bleu:.2f} | {found.seconds:.1f} |",
            flush=True,
        )
    compare_places(translator, glossary, sources)


def compare_places(translator: Translator, glossary: Glossary, sources: Sequence[str]) -> None:
    """Print a second table: what becomes of words that are none."""
    counts = Counter(found.entry for source in sources for found in glossary.occurrences(source))
    frequent = [entry for entry, _ in counts.most_common(len(_INVENTED))]
    invented = {entry.source: word for entry, word in zip(frequent, _INVENTED, strict=True)}
    occurrences = [Glossary(frequent).occurrences(source) for source in sources]
    plain = [each.best.text for each in translator.translate(map(Request, sources))]
    asked = [tuple(invented[found.entry.source] for found in each) for each in occurrences]
    required = [Request(source, required=words) for source, words in zip(sources, asked, strict=True)]
    terms = [GlossaryEntry(source, (word,)) for source, word in invented.items()]
    ways = {
        "required phrases": (translator, required),
        "hard terms": (with_glossary(translator, terms, "hard"), list(map(Request, sources))),
    }
    print("\n| invented words as | used | in the right position | seconds |\n|:--|--:|--:|--:|")
    for name, (constrained, requests) in ways.items():
        started = time.perf_counter()
        texts = [each.best.text for each in constrained.translate(requests)]
        seconds = time.perf_counter() - started
        used = [word in _words(text) for text, words in zip(texts, asked, strict=True) for word in words]
        in_place = [
            _between(invented[found.entry.source], text) == _between(found.entry.targets[0], before)
            for text, before, each in zip(texts, plain, occurrences, strict=True)
            for found in each
            if _words(before).count(found.entry.targets[0]) == 1
        ]
        shares = [f"{sum(each)} of {len(each)} ({sum(each) / len(each):.1%})" for each in (used, in_place)]
        print(f"| {name} | {' | '.join(shares)} | {seconds:.1f} |", flush=True)


def with_glossary(
    translator: Translator, entries: Sequence[GlossaryEntry], mode: GlossaryMode, bonus: float = 0.0
) -> Translator:
    """Return a translator with a glossary that shares the model of another."""
    generator, context = translator.generator, translator.context
    settings = translator.settings.model_copy(update={"glossary_bonus": bonus})
    config = InferenceConfig(
        precision=generator.config.precision,
        max_tokens=context.max_tokens,
        context=context.settings,
        tags=translator.tags,
    )
    options = TranslateOptions(glossary=tuple(entries), glossary_mode=mode)
    return Translator(generator.model, translator.tokenizer, settings, generator.device, config, options)


def _words(text: str) -> list[str]:
    return [word.strip(_SIGNS) for word in text.split()]


def _between(word: str, text: str) -> tuple[str, str] | None:
    """The words before and after one, if it is there."""
    around = ["", *_words(text), ""]
    place = around.index(word) if word in around else None
    return None if place is None else (around[place - 1], around[place + 1])


def measured(translator: Translator, sources: Sequence[str], references: Sequence[str]) -> Measured:
    """What comes of one way to use the glossary."""
    started = time.perf_counter()
    found = list(translator.translate(map(Request, sources)))
    seconds = time.perf_counter() - started
    terms = [term for each in found for term in each.terms]
    bleu = sacrebleu.corpus_bleu([each.best.text for each in found], [list(references)]).score
    return Measured(sum(term.is_used for term in terms), len(terms), bleu, seconds)


def glossary_of(translator: Translator, sources: Sequence[str], references: Sequence[str]) -> Glossary:
    """The nouns of the references, each for the source word that says it; one for each source word."""
    pairs, answers = Counter[tuple[str, str]](), Counter[str]()
    for source, reference, links in zip(sources, references, _alignments(translator, sources, references), strict=True):
        source_words, target_words = source.split(), reference.split()
        for one, other in links:
            word, noun = source_words[one].strip(_SIGNS), target_words[other].strip(_SIGNS)
            answers[word] += 1
            if other and noun[:1].isupper() and word.islower():
                pairs[word, noun] += 1
    targets: dict[str, str] = {}
    for (word, noun), count in pairs.most_common():
        if 2 * count > answers[word]:
            targets.setdefault(word, noun)
    return Glossary([GlossaryEntry(word, (noun,)) for word, noun in sorted(targets.items())])


def _alignments(
    translator: Translator, sources: Sequence[str], references: Sequence[str]
) -> list[Sequence[tuple[int, int]]]:
    tokenizer = translator.tokenizer
    rows = zip(tokenizer.encode_source(list(sources)), tokenizer.encode_target(list(references)), strict=True)
    said = [
        AnnotationInput(source, SentenceInput(line, tokens), reference, tuple(target))
        for line, (source, reference, (tokens, target)) in enumerate(zip(sources, references, rows, strict=True), 1)
    ]
    annotator = Annotator(translator.generator, tokenizer, 4096, alignment=True)
    return [annotation.alignment or () for annotation in annotator.annotate(said)]


if __name__ == "__main__":
    main()
