"""Codes as people mistype them, cut them off and copy them from elsewhere: they are read rightly, or refused."""

import json

import pytest
from small_spaces import SMALL

from evonas.errors import UserError
from evonas.genomes.genotype import CELLS, GenotypeSpace, published
from evonas.genomes.mnasnet import PUBLISHED
from evonas.support.streams import stream
from evonas.systems.own import imported
from evonas.systems.registry import SPACES

ODD = [
    "²", "٣", "½", "\u2003", "\x00", "\ud800", "é", "💥", "\ufeff", "~", "|", "/", "-", "+", ":", ",", "&", "<", "(",
    ")", "[", "]", "{", "}", '"', "'", "\\", "\n", "_", "#", "%", "0", "1", "7", "x", ".", " ", "e", "=", "*", "@",
]  # fmt: skip
WORDS = [
    "1e999", "-1e999", "NaN", "Infinity", "-1", "0.5", "1.0", "9" * 12, "9" * 5000, "0x1", "1_0", "007", "null", "None",
    "true", "True", "range(2, 6)", "range(10**9)", "range(0, 999999999999)", "[]", "{}", "()", "[[]]", '""', "normal",
    "reduce", " reduce ", "|", "input", "output", "none", "skip_connect", "0:none", "lambda: 0", "1j", "b'1'", "...",
    '"normal": []', "'normal': 0", "[" * 300, "[" * 99999, "(" * 150, "-" * 9999, "(" * 90 + ")" * 90, "a.b", "f''",
    "*a",
]  # fmt: skip


EVERY = [imported(SPACES[name])(**fields) for name, sets in SMALL.items() for fields in sets]


def json_text(genotype, rng):
    return json.dumps(genotype.to_pairs())


def python_text(genotype, rng):
    """As Python prints it, and as papers publish it."""
    form = genotype.to_pairs()
    cells = {kind: list(map(tuple, form[kind])) for kind in CELLS}
    return (f"Genotype(normal={cells['normal']}, normal_concat=range(2, {2 + len(genotype.normal)}), "
            f"reduce={cells['reduce']}, reduce_concat={form['reduce_concat']})")  # fmt: skip


def nested_text(genotype, rng):
    """Nodes of one to three pairs, each with a weight, as some print them."""
    form = {}
    for kind in CELLS:
        pairs = [pair for node in genotype.cell(kind).nodes for pair in node]
        form[kind] = nodes = []
        while pairs:
            size = rng.randint(1, 3)
            nodes.append([(op, min(source, len(nodes) + 1), rng.random()) for op, source in pairs[:size]])
            pairs = pairs[size:]
        form[f"{kind}_concat"] = rng.choice([None, list(range(2, len(nodes) + 2))])
    return str(form)


def valid(space, rng):
    """A code that the space reads, if it has the operations: its own, or one of those that are published."""
    if isinstance(space, GenotypeSpace) and rng.random() < 0.6:
        name = rng.choice(sorted(published()))
        write = rng.choice([json_text, python_text, nested_text])
        return rng.choice([name, write(published()[name].genotype, rng)])
    if "mnasnet" in space.name and rng.random() < 0.3:
        return rng.choice(sorted(PUBLISHED.values()))
    return space.format(space.random(rng))


def broken(code, rng):
    """The code after one to three accidents."""
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(code) + 1)
        to = min(at + rng.choice([1, 1, 1, 2, 5, 20]), len(code))
        match rng.randrange(10):
            case 0:
                code = code[:at] + code[to:]
            case 1:
                code = code[:at] + code[at:to] * 2 + code[to:]
            case 2:
                code = code[:at] + code[at:to][::-1] + code[to:]
            case 3:
                code = code[:at] + rng.choice(ODD) + code[to:]
            case 4:
                code = code[:at] + rng.choice(ODD) + code[at:]
            case 5:
                code = code[:at]
            case 6 | 7:  # a number
                places = [place for place, letter in enumerate(code) if letter.isdigit()] or [0]
                at = rng.choice(places)
                code = code[:at] + rng.choice([*WORDS, *"01234567" * 8]) + code[at + 1 :]
            case 8:
                words = code.split(" ")
                words[rng.randrange(len(words))] = rng.choice(WORDS)
                code = " ".join(words)
            case 9:
                words = code.split(" ")
                first, second = rng.randrange(len(words)), rng.randrange(len(words))
                words[first], words[second] = words[second], words[first]
                code = " ".join(words)
    return code


def check(space, code):
    """Whether a code is accepted. What is, means the same network when it is written and read again."""
    try:
        genome = space.parse(code)
    except UserError as refused:
        genome = None
        if len(str(refused)) > 2000:
            raise AssertionError("a message is read by people") from None
    if genome is not None:
        again = space.parse(space.format(genome))
        if space.name != "mnasnet":  # there two genomes may mean the same blocks: one layer fewer than one is one
            assert again == genome
        assert [type(token) for token in again] == [type(token) for token in genome]
        try:
            digest = space.decode(genome).digest()
        except UserError:
            digest = None
        if digest is not None:
            assert space.decode(again).digest() == digest
    try:
        written, graph = space.read(code)
    except UserError:
        return genome is not None
    rewritten, same = space.read(written)
    assert (rewritten, same.digest()) == (written, graph.digest())
    if genome is not None:
        assert space.decode(genome).digest() == graph.digest()
    space.cells_of(code)
    return True


def campaign(count, name):
    """How many of so many generated codes were accepted, each of them rightly."""
    accepted = 0
    for number in range(count):
        rng = stream(number, name)
        space = EVERY[number % len(EVERY)]
        code = valid(space, rng)
        if number % 10:
            code = broken(code, rng)
        try:
            accepted += check(space, code)
        except Exception as error:  # whatever a reader raises, the assertion tells which it may
            raise AssertionError(f"{space.name}: {code[:3000]!r}: {type(error).__name__}: {error}") from error
    return accepted


def test_every_registered_space_has_its_codes_generated():
    assert set(SMALL) == set(SPACES)


def test_a_generated_code_is_read_back_as_what_it_was_read_as_or_refused():
    assert 100 < campaign(1_000, "quick") < 500


@pytest.mark.slow
def test_many_generated_codes_are_read_back_as_what_they_were_read_as_or_refused():
    assert 3_000 < campaign(30_000, "slow") < 15_000
