"""Generate questions about facts: the answer is a span of the facts, and each name occurs in one set only.

    python data_scripts/question_answering.py
    python data_scripts/question_answering.py --train 40000 --seed 2 --to data/more_questions

writes {train,valid,test}.{facts,answer,links} to data/question_answering. A source has facts and a question, such as

    Zorel Ambito paints the old bridge . Tasko lives in Rumanda . Who paints the old bridge ?

and the target is the answer, here `Zorel Ambito`. No name of the validation and test sets occurs in training, so a
model cannot know it as a word: it has to find the place in the facts, and copy what is there. The links `0-0 1-1` say
which words of source and target are the same.
"""

import random
from collections.abc import Iterator

import corpora

ONSETS = ["b", "br", "d", "f", "g", "h", "k", "kr", "l", "m", "n", "p", "r", "s", "st", "t", "tr", "v", "z"]
VOWELS = ["a", "e", "i", "o", "u", "ai", "ia"]
CODAS = ["", "", "", "n", "l", "r", "s", "m"]
WORK = {
    "paints": ["the old bridge", "the red house", "the garden wall", "a small boat"],
    "repairs": ["the tower clock", "the village well", "a broken cart", "the school roof"],
    "sells": ["fresh bread", "silver rings", "warm coats", "old maps"],
    "teaches": ["music", "history", "the young sailors", "the night class"],
    "guards": ["the north gate", "the museum", "the king's horses", "the lighthouse"],
}
WHERE = ["lives in", "was born in", "moved to", "has a shop in"]
THINGS = ["ship", "river", "mountain", "horse", "inn", "festival"]
COLOURS = ["black", "blue", "green", "grey", "white", "yellow"]
MIN_FACTS, MAX_FACTS = 2, 4


def main() -> None:
    parser = corpora.argument_parser(__doc__, "data/question_answering")
    parser.add_argument("--train", type=corpora.size, default=20_000, metavar="N", help="training questions (20000)")
    parser.add_argument("--valid", type=corpora.size, default=500, metavar="N", help="validation questions (500)")
    parser.add_argument("--test", type=corpora.size, default=1_000, metavar="N", help="test questions (1000)")
    parser.add_argument("--seed", type=int, default=1, help="random seed (1)")
    options = parser.parse_args()
    rng, texts = random.Random(options.seed), {}
    names = new_names(rng)
    for name, size in (("train", options.train), ("valid", options.valid), ("test", options.test)):
        known = [next(names) for _ in range(max(20, min(size, 5000)))]
        examples = [question(rng, known) for _ in range(size)]
        texts[f"{name}.facts"] = corpora.joined(source for source, _ in examples)
        texts[f"{name}.answer"] = corpora.joined(answer for _, answer in examples)
        texts[f"{name}.links"] = corpora.joined(links(*example) for example in examples)
    corpora.write(options.to, texts)


def new_names(rng: random.Random) -> Iterator[str]:
    """Yield names of two to four syllables, each once."""
    given = set[str]()
    while True:
        syllables = [rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS) for _ in range(rng.randint(2, 4))]
        name = "".join(syllables).capitalize()
        if name not in given:
            given.add(name)
            yield name


def question(rng: random.Random, names: list[str]) -> tuple[str, str]:
    """Return some facts with a question about one of them, and the answer."""
    used = iter(rng.sample(names, 4 * MAX_FACTS))
    facts = dict[str, tuple[str, str]]()  # by question, so that no question has two answers
    count = rng.randint(MIN_FACTS, MAX_FACTS)
    while len(facts) < count:
        name = " ".join(next(used) for _ in range(rng.randint(1, 2)))
        match rng.randrange(3):
            case 0:
                verb = rng.choice([*WORK])
                work = f"{verb} {rng.choice(WORK[verb])}"
                asked, fact = f"Who {work} ?", f"{name} {work} ."
            case 1:
                thing = f"the {rng.choice(COLOURS)} {rng.choice(THINGS)}"
                asked, fact = f"What is the name of {thing} ?", f"The name of {thing} is {name} ."
            case _:
                who, where = rng.choice(["The miller", "The doctor", "The sailor", "The captain"]), rng.choice(WHERE)
                asked, fact = f"Which place is it that {who.lower()} {where} ?", f"{who} {where} {name} ."
        facts.setdefault(asked, (fact, name))
    asked = rng.choice([*facts])
    return " ".join([*(fact for fact, _ in facts.values()), asked]), facts[asked][1]


def links(source: str, answer: str) -> str:
    """Return the indices of each answer word in source and target; names occur once.

    >>> links("Tasko lives in Rumanda . Where does Tasko live ?", "Rumanda")
    '3-0'
    """
    words = source.split()
    return " ".join(f"{words.index(word)}-{index}" for index, word in enumerate(answer.split()))


if __name__ == "__main__":
    corpora.run(main)
