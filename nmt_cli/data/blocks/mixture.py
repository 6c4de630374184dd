"""How corpora are mixed: which stretch of each corpus' endless stream of pairs a block takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from nmt_cli.recipe.training.mixing import Mixing, Stage


@dataclass(frozen=True)
class _Mix:
    """A mixture from one place on, counted in pairs of all corpora since the training began."""

    begins: Fraction
    shares: Mapping[str, Fraction]
    """Of each corpus; they sum to 1."""
    before: Mapping[str, int]
    """Pairs of each corpus that came before it."""

    def stream(self, place: Fraction) -> dict[str, int]:
        """How many pairs of each corpus have come up to a place."""
        return {name: self.before[name] + round((place - self.begins) * share) for name, share in self.shares.items()}


@dataclass(frozen=True)
class _Stretch:
    """A part of an epoch with one mixture, cut into blocks."""

    mix: _Mix
    begins: Fraction
    ends: Fraction
    blocks: int

    def edge(self, block: int) -> Fraction:
        """Where a block begins; that of the number after the last is the end."""
        return self.begins + (self.ends - self.begins) * block / self.blocks


class Mixture:
    """Of each corpus' stream, which is pass after pass, an epoch takes the next part.

    By weights, that part is weight × size pairs. In stages, an epoch is as many pairs as all corpora have. No block
    reaches into two stages. All is computed in fractions, so that passes end where they should after any time.
    """

    def __init__(
        self, sizes: Mapping[str, int], weights: Mapping[str, float], settings: Mixing, block_pairs: int
    ) -> None:
        self._block_pairs = block_pairs
        if settings.stages:
            self._epoch_pairs = Fraction(sum(sizes.values()))
            self._mixes = _staged(sizes, settings.stages)
        else:
            taken = _by_temperature({name: weights[name] * size for name, size in sizes.items()}, settings.temperature)
            self._epoch_pairs = sum(taken.values(), Fraction(0))
            shares = {name: pairs / self._epoch_pairs for name, pairs in taken.items()}
            self._mixes = [_Mix(Fraction(0), shares, dict.fromkeys(sizes, 0))]

    def blocks(self, epoch: int) -> int:
        """Number of blocks in an epoch."""
        return sum(stretch.blocks for stretch in self._stretches(epoch))

    def taken(self, epoch: int, block: int) -> dict[str, range]:
        """For each corpus of a block, which pairs of its stream the block takes."""
        stretch, number = self._find(epoch, block)
        begins, ends = (stretch.mix.stream(stretch.edge(edge)) for edge in (number, number + 1))
        return {name: range(begins[name], ends[name]) for name in begins if begins[name] < ends[name]}

    def share(self, epoch: int, block: int) -> tuple[float, float]:
        """Where in its epoch a block begins and ends, from 0 to 1."""
        stretch, number = self._find(epoch, block)
        begins, ends = (stretch.edge(edge) / self._epoch_pairs - epoch for edge in (number, number + 1))
        return float(begins), float(ends)

    def _find(self, epoch: int, block: int) -> tuple[_Stretch, int]:
        for stretch in self._stretches(epoch):
            if block < stretch.blocks:
                return stretch, block
            block -= stretch.blocks
        raise AssertionError("an epoch has no such block")

    def _stretches(self, epoch: int) -> list[_Stretch]:
        first, end = epoch * self._epoch_pairs, (epoch + 1) * self._epoch_pairs
        ends = [mix.begins for mix in self._mixes[1:]] + [end]
        found = []
        for mix, mix_ends in zip(self._mixes, ends, strict=True):
            begins, ends_here = max(first, mix.begins), min(end, mix_ends)
            if begins < ends_here:
                blocks = max(1, round((ends_here - begins) / self._block_pairs))
                found.append(_Stretch(mix, begins, ends_here, blocks))
        return found


def _by_temperature(pairs: Mapping[str, float], temperature: float) -> dict[str, Fraction]:
    """How many pairs of each corpus an epoch takes, given how many it would take at temperature 1."""
    if temperature == 1:
        return {name: Fraction(count) for name, count in pairs.items()}
    most = max(pairs.values())
    return {name: Fraction(most * (count / most) ** (1 / temperature)) for name, count in pairs.items()}


def _staged(sizes: Mapping[str, int], stages: list[Stage]) -> list[_Mix]:
    begins, before = Fraction(0), dict.fromkeys(sizes, 0)
    mixes = []
    for stage in stages:
        total = sum(map(Fraction, stage.shares.values()))
        mix = _Mix(begins, {name: Fraction(share) / total for name, share in stage.shares.items()}, before)
        mixes.append(mix)
        for name, passes in stage.passes.items():  # of one corpus; of none in the last stage
            begins = begins + Fraction(passes) * sizes[name] / mix.shares[name]
            before = before | mix.stream(begins)
    return mixes
