"""Training corpora: captions, and words of captions in sentences as long as those of news."""

import gzip
import math
from pathlib import Path

import numpy as np
import yaml

from nmt_cli import files
from nmt_cli.data.arrays import RaggedArray
from nmt_cli.data.preparation.manifest import CorpusStats
from nmt_cli.data.token_corpus import TokenCorpus, TokenPairs
from nmt_cli.data.tokenizer import Tokenizer
from peers.child import run
from peers.contract import Corpus
from peers.ours import command, data_sections

MULTI30K_FILES = {
    ("train", "source"): "train.en.gz",
    ("train", "target"): "train.de.gz",
    ("valid", "source"): "val.en.gz",
    ("valid", "target"): "val.de.gz",
}
NEWS_MEAN, NEWS_SPREAD, NEWS_LONGEST, NEWS_PAIRS = 30.0, 0.55, 128, 20_000
NEWS = (
    f"source lengths log-normal with mean {NEWS_MEAN:.0f} subwords and σ {NEWS_SPREAD} (as English-German news of WMT),"
    f" longest {NEWS_LONGEST}; target length = source length × a log-normal factor of median 1 and σ 0.2"
)


def multi30k(text: Path, folder: Path, cores: str) -> Corpus:
    """Create the corpus of Multi30k captions, English to German, from a folder with train.en.gz and so on."""
    corpus = Corpus("multi30k", folder)
    if not corpus.vocabulary.is_file():
        unpack_multi30k(text, corpus)
        _prepare(corpus, cores)
    return corpus


def unpack_multi30k(text: Path, corpus: Corpus) -> None:
    """Write the raw lines of Multi30k to the files of the corpus."""
    corpus.folder.mkdir(parents=True, exist_ok=True)
    for (split, side), name in MULTI30K_FILES.items():
        corpus.text(split, side).write_bytes(gzip.decompress((text / name).read_bytes()))


def news(like: Corpus, folder: Path, cores: str, pairs: int = NEWS_PAIRS) -> Corpus:
    """Create a corpus of consecutive words of `like`, split into lines with lengths drawn from NEWS."""
    corpus = Corpus("news", folder)
    if not corpus.vocabulary.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        generator = np.random.default_rng(1)
        median = math.log(NEWS_MEAN) - NEWS_SPREAD**2 / 2
        for split, number in (("train", pairs), ("valid", 500)):
            source = generator.lognormal(median, NEWS_SPREAD, number)
            target = source * generator.lognormal(0.0, 0.2, number)
            for side, lengths in (("source", source), ("target", target)):
                lines = _lines_of_lengths(like, side, np.clip(np.rint(lengths), 1, NEWS_LONGEST).astype(int))
                corpus.text(split, side).write_bytes("".join(f"{line}\n" for line in lines).encode())
        _prepare(corpus, cores)
    return corpus


def mean_length(corpus: Corpus) -> float:
    """Return the mean target tokens of a training sentence, eos included."""
    return float(_tokens(corpus, "train").target_lengths.mean()) + 1


def as_pieces(tokenizer: Tokenizer, rows: list[list[int]]) -> list[str]:
    """Format rows of ids (the vocabulary is joint) as subwords separated by spaces."""
    names = tokenizer.source.entries
    return [" ".join(names[token] for token in row) for row in rows]


def from_pieces(tokenizer: Tokenizer, lines: list[str]) -> list[str]:
    """Detokenise lines of subwords; unknown subwords are dropped."""
    numbers = {piece: number for number, piece in enumerate(tokenizer.target.entries)}
    return tokenizer.decode_target([[numbers[piece] for piece in line.split() if piece in numbers] for line in lines])


def write_pieces(corpus: Corpus) -> None:
    """Export the output of `nmt preprocess` as text for the peers, the vocabulary last."""
    tokenizer = Tokenizer.load(corpus.prepared / "tokenizer")
    corpus.vocabulary.parent.mkdir(exist_ok=True)
    used = np.zeros(tokenizer.source_size, np.int64)
    for split in ("train", "valid"):
        tokens = _tokens(corpus, split)
        for side, lines in (("source", tokens.sources), ("target", tokens.targets)):
            rows = [lines[line].tolist() for line in range(len(tokens))]
            corpus.pieces(split, side).write_text("".join(f"{line}\n" for line in as_pieces(tokenizer, rows)))
            used += np.bincount(lines.values, minlength=used.size)
    order = np.argsort(-used, kind="stable")
    special = tokenizer.special_tokens.ids
    names = [tokenizer.source.entries[number] for number in order if number not in special]
    corpus.vocabulary.write_text("".join(f"{name}\n" for name in names))


def _prepare(corpus: Corpus, cores: str) -> None:
    recipe = corpus.folder / "recipe.yaml"
    sections = {"run": str(corpus.folder / "run"), **data_sections(corpus), "model": {"architecture": "transformer"}}
    recipe.write_text(yaml.safe_dump(sections, sort_keys=False))
    run(command("preprocess", recipe), cores, corpus.folder / "preprocess.log")
    write_pieces(corpus)


def _tokens(corpus: Corpus, split: str) -> TokenPairs:
    tokenizer, name = Tokenizer.load(corpus.prepared / "tokenizer"), f"{split}/text"
    entry = files.read_json(corpus.prepared / files.MANIFEST)["corpora"][name]
    return TokenCorpus(corpus.prepared / name, CorpusStats.from_json(name, entry), tokenizer).read_all()


def _lines_of_lengths(like: Corpus, side: str, lengths: np.ndarray) -> list[str]:
    """Yield lines of about the given numbers of subwords, made of whole words, so that they are tokenised the same."""
    tokenizer = Tokenizer.load(like.prepared / "tokenizer")
    tokens: RaggedArray = getattr(_tokens(like, "train"), f"{side}s")
    pieces = [tokenizer.source.entries[token] for token in tokens.values]
    begins = [place for place, piece in enumerate(pieces) if piece.startswith("▁")]
    starts = np.cumsum(lengths) % (len(pieces) - 2 * NEWS_LONGEST)
    firsts, lasts = np.searchsorted(begins, starts), np.searchsorted(begins, starts + lengths)
    words = [pieces[begins[first] : begins[max(last, first + 1)]] for first, last in zip(firsts, lasts, strict=True)]
    return ["".join(line).replace("▁", " ").strip() for line in words]
