"""Generate dialogues between a guest and a waiter, for a language model that plays the waiter.

    python data_scripts/dialogues.py
    python data_scripts/dialogues.py --train 40000 --seed 2 --to data/more_dialogues
    nmt generate recipes/dialogues.yaml -i data/dialogues/test.prompts --format jsonl > continuations.jsonl
    python data_scripts/dialogues.py --check continuations.jsonl

writes {train,valid,test}.txt, dialogues between blank lines, and {valid,test}.prompts, their first turns, to
data/dialogues. A dialogue is

    guest: two teas and one cake , please .
    waiter: two teas and one cake . anything else ?
    guest: make it three teas .
    waiter: three teas and one cake . that makes 11 euros .
    guest: here you are .
    waiter: thank you , goodbye !

No first turn occurs twice. --check prints some continuations, wrong ones first, and how often the waiter repeats the
orders and adds up the prices correctly.
"""

import json
import random
import re
from pathlib import Path

import corpora

PRICES = {
    **{"tea": 2, "coffee": 3, "juice": 4, "cake": 3, "soup": 7},
    **{"salad": 6, "pancake": 5, "muffin": 2, "cookie": 1, "lemonade": 4},
}
NUMBERS = ["one", "two", "three"]
GREETINGS = ["", "hello , ", "good morning , ", "hi , can i have "]
ENDS = ["here you are .", "here is the money .", "keep the change ."]
ITEM = re.compile(rf"({'|'.join(NUMBERS)}) ({'|'.join(PRICES)})s?(?!\w)")
TOTAL = re.compile(r"that makes (\d+) euros?(?!\w)")
MAX_DIALOGUES = 50_000

Order = dict[str, int]
"""Number of each item, in the order in which they were ordered."""


def main() -> None:
    parser = corpora.argument_parser(__doc__, "data/dialogues")
    parser.add_argument("--train", type=corpora.size, default=20_000, metavar="N", help="training dialogues (20000)")
    parser.add_argument("--valid", type=corpora.size, default=500, metavar="N", help="validation dialogues (500)")
    parser.add_argument("--test", type=corpora.size, default=500, metavar="N", help="test dialogues (500)")
    parser.add_argument("--seed", type=int, default=1, help="random seed (1)")
    parser.add_argument("--check", type=Path, metavar="FILE", help="JSON Lines of nmt generate to check")
    options = parser.parse_args()
    if options.check:
        check(options.check)
        return
    sizes = {"train": options.train, "valid": options.valid, "test": options.test}
    if sum(sizes.values()) > MAX_DIALOGUES:
        parser.error(f"--train, --valid and --test add up to {sum(sizes.values()):,}; the maximum is {MAX_DIALOGUES:,}")
    rng, texts = random.Random(options.seed), dict[str, bytes]()
    drawn = dict[str, list[str]]()  # by first turn
    while len(drawn) < sum(sizes.values()):
        turns = dialogue(rng)
        drawn.setdefault(turns[0], turns)
    dialogues = iter(drawn.values())
    for name, size in sizes.items():
        chosen = [next(dialogues) for _ in range(size)]
        texts[f"{name}.txt"] = "\n".join("".join(f"{turn}\n" for turn in turns) for turns in chosen).encode()
        if name != "train":
            texts[f"{name}.prompts"] = corpora.joined(turns[0] for turns in chosen)
    corpora.write(options.to, texts)


def dialogue(rng: random.Random) -> list[str]:
    """Return the turns of a dialogue."""
    *items, other = rng.sample([*PRICES], rng.randint(2, 4))
    order = {item: rng.randint(1, len(NUMBERS)) for item in items}
    greeting = rng.choice(GREETINGS)
    end = "?" if "can i" in greeting else ", please ."
    turns = [f"guest: {greeting}{spoken(order)} {end}", f"waiter: {spoken(order)} . anything else ?"]
    match rng.randrange(3):
        case 0:
            turns.append("guest: no , thank you .")
        case 1:
            more = {other: rng.randint(1, len(NUMBERS))}
            order |= more
            turns.append(f"guest: {spoken(more)} , too .")
        case _:
            item = rng.choice(items)
            order[item] = order[item] % len(NUMBERS) + 1
            turns.append(f"guest: make it {spoken({item: order[item]})} .")
    return [
        *turns,
        f"waiter: {spoken(order)} . that makes {price(order)} {'euro' if price(order) == 1 else 'euros'} .",
        f"guest: {rng.choice(ENDS)}",
        "waiter: thank you , goodbye !",
    ]


def spoken(order: Order) -> str:
    """Spell an order.

    >>> spoken({"tea": 2, "cake": 1, "soup": 3})
    'two teas , one cake and three soups'
    """
    *others, last = (f"{NUMBERS[number - 1]} {item}{'s' if number > 1 else ''}" for item, number in order.items())
    return f"{' , '.join(others)} and {last}" if others else last


def price(order: Order) -> int:
    return sum(PRICES[item] * number for item, number in order.items())


def judge(turns: list[str]) -> tuple[bool, bool]:
    """Return whether the waiter of a dialogue repeats each order, and names its price once and correctly."""
    order, totals = Order(), list[bool]()
    repeats = [bool(turns) and turns[-1] == "waiter: thank you , goodbye !"]
    for turn in turns:
        mentioned = {item: NUMBERS.index(number) + 1 for number, item in ITEM.findall(turn)}
        if turn.startswith("guest:"):
            order |= mentioned
        elif mentioned or "anything else" in turn or "that makes" in turn:
            repeats.append([*mentioned.items()] == [*order.items()])
            totals += [int(total) == price(order) for total in TOTAL.findall(turn)]
    return all(repeats), totals == [True]


def check(path: Path, shown: int = 4) -> None:
    """Print some dialogues, and on the last line the percentages that are correct."""
    try:
        rows = [json.loads(line) for line in corpora.lines(path.read_bytes())]
        dialogues = [f"{row['prompt']}{row['text']}".strip().split("\n") for row in rows]
    except (ValueError, LookupError, TypeError) as error:
        raise corpora.CorpusError(f"{path}: is not JSON Lines of nmt generate: {error}") from error
    if not dialogues:
        raise corpora.CorpusError(f"{path}: contains no dialogues")
    judged = [(judge(turns), turns) for turns in dialogues]
    for (repeated, added), turns in sorted(judged, key=lambda each: all(each[0]))[:shown]:
        errors = [*([] if repeated else ["orders"]), *([] if added else ["total"])]
        print("\n".join([*turns, f"(wrong: {', '.join(errors)})" if errors else "(correct)", ""]))
    counts = [sum(values) for values in zip(*(each for each, _ in judged), strict=True)]
    orders, totals = (100 * count / len(judged) for count in counts)
    print(f"dialogues: {len(judged)}; orders repeated: {orders:.1f} %; totals correct: {totals:.1f} %")


if __name__ == "__main__":
    corpora.run(main)
