"""Genomes as sequences of named decisions: everything that follows from `next` alone."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import cached_property
from random import Random
from typing import Any, ClassVar, TypeVar

from evonas.decision import Decision, Open
from evonas.errors import UserError
from evonas.gates import Gate, Is
from evonas.support.text import brief, listed

K = TypeVar("K", bound=Hashable)  # what tells kinds of decisions apart
LONGEST = 10_000  # tokens of a genome at most
REMEMBERED = 1024  # genomes whose decisions a space keeps: a population, and what is made of it
Token = Hashable
Genome = Sequence[Token]
Weights = Mapping[str, Mapping[Token, float]]  # decision -> {option: weight}


class CodeError(UserError):
    """A genome or code does not belong to the space. The message names the place and what is legal there."""


class Sequences:
    """Genomes, of which each token answers the decision that the tokens before it lead to. A subclass is hashable, has
    a `name`, and defines `next`, as a pure function."""

    name: ClassVar[str]
    countable: ClassVar[bool] = True  # a walk through all states has an end that one can wait for

    def next(self, prefix: Genome) -> Decision | None:
        """The decision that follows this prefix, or None if the genome is complete."""
        raise NotImplementedError(f"{type(self).__name__} has no `next`")

    @property
    def is_sequence(self) -> bool:
        """Whether genomes are sequences of decisions. Otherwise only the space's own operators vary them."""
        return type(self).next is not Sequences.next

    def decisions(self, genome: Genome) -> list[Decision]:
        """The decisions that a complete genome answers, in order. Raises CodeError if an answer is not legal."""
        genome = tuple(genome)
        try:
            known = self._decided.get(genome)
        except TypeError:  # a token that cannot be looked up is no option, which the walk says
            return self._walked(genome)
        if known is None:
            known = self._walked(genome)
            self._remember(genome, known)
        return list(known)

    def _walked(self, genome: tuple[Any, ...]) -> list[Decision]:
        answered = []
        for position, token in enumerate(genome):
            asked = self.next_open if isinstance(token, Open) else self.next
            decision = asked(genome[:position])
            if decision is None:
                raise CodeError(f"the genome has {len(genome)} tokens; in this space it is complete after {position}")
            tokens = token.options if isinstance(token, Open) else (token,)
            if illegal := [each for each in tokens if not isinstance(each, Hashable) or each not in decision.options]:
                raise CodeError(
                    f"token {position + 1} is {brief(repr(illegal[0]))}; {decision.name} takes one of "
                    f"{listed(decision.options)}"
                )
            answered.append(decision)
        missing = self.next(genome)
        if missing is not None:
            raise CodeError(f"the genome ends after {len(genome)} tokens; {missing.name} comes next: one of "
                            f"{listed(missing.options)}")  # fmt: skip
        return answered

    def _remember(self, genome: tuple[Token, ...], decisions: list[Decision]) -> None:
        """A parent is walked once, and not again for each of its children."""
        if len(self._decided) >= REMEMBERED:
            del self._decided[next(iter(self._decided))]
        self._decided[genome] = decisions

    def plain(self, genome: Genome) -> tuple[Token, ...]:
        """The genome with each token as the option that it equals: what others write may have numpy's 1, or True, for
        1, which a journal and a code do not keep. Raises CodeError if a token equals none."""
        if not self.is_sequence:
            return tuple(genome)
        return tuple(
            token if isinstance(token, Open) else decision.options[decision.options.index(token)]
            for token, decision in zip(genome, self.decisions(tuple(genome)), strict=True)
        )

    def choices(self, genome: Genome) -> dict[str, dict[Token, Gate]]:
        """decision -> {option: gate}: gates 1 and 0 for a closed token, a symbol for each option of an open one."""
        return {
            decision.name: {option: gate_of(decision.name, option, token) for option in decision.options}
            for decision, token in zip(self.decisions(genome), genome, strict=True)
        }

    def answers(self, genome: Genome) -> dict[str, Token]:
        """decision -> token of a complete genome."""
        return {d.name: token for d, token in zip(self.decisions(genome), genome, strict=True)}

    def next_open(self, prefix: Genome) -> Decision | None:
        """The decision that an open token answers after this prefix; by default that of `next`. A supernet may add an
        option here that its authors weigh though no genome can take it."""
        return self.next(prefix)

    def open(self) -> tuple[Open, ...]:
        """The genome with every decision open: the whole supernet."""
        genome: tuple[Open, ...] = ()
        while (decision := self.next_open(genome)) is not None:
            genome += (Open(decision.options),)
        return genome

    def count(self, prefix: Genome = ()) -> int:
        """The number of complete genomes that begin with this prefix."""
        return self._completions(tuple(prefix))

    def has_at_most(self, n: int) -> bool:
        """Whether there are no more than n genomes."""
        return self.countable and self.count() <= n

    def genomes(self, prefix: Genome = ()) -> Iterator[tuple[Token, ...]]:
        """All complete genomes that begin with this prefix, in the order of the options."""
        prefix = tuple(prefix)
        decision = self.next(prefix)
        if decision is None:
            yield prefix
        else:
            for option in decision.options:
                yield from self.genomes((*prefix, option))

    def random(self, rng: Random) -> tuple[Token, ...]:
        """A genome drawn uniformly from all genomes: the weight of an option is the number of genomes that continue
        with it."""
        genome: tuple[Token, ...] = ()
        decisions: list[Decision] = []
        while (decision := self.next(genome)) is not None:
            if (weights := self._weights.get(decision.state)) is None:
                weights = [self._completions((*genome, option)) for option in decision.options]
                self._weights[decision.state] = weights
            decisions.append(decision)
            ticket = rng.randrange(sum(weights))
            for option, weight in zip(decision.options, weights, strict=True):
                if ticket < weight:
                    genome += (option,)
                    break
                ticket -= weight
        self._remember(genome, decisions)
        return genome

    def complete(self, answers: dict[str, Token], rng: Random) -> tuple[Token, ...]:
        """The genome that takes these answers, by decision name, where they are legal, and draws the other ones: the
        basis of mutation and crossover by name. An answer is judged after those before it are taken: later ones are
        kept as far as they are still legal."""
        genome: tuple[Token, ...] = ()
        decisions = []
        while (decision := self.next(genome)) is not None:
            wanted = answers.get(decision.name)
            genome += (wanted if wanted in decision.options else rng.choice(decision.options),)
            decisions.append(decision)
        self._remember(genome, decisions)
        return genome

    @property
    def points(self) -> bool:
        """Whether some decision points at earlier tokens."""
        return any(each.pointer is not None for each in self.every_decision)

    def vocabulary(self, kind: Callable[[Decision], K]) -> list[tuple[K, Token]]:
        """What a controller may ever read or say: the words of all options, each with the kind of its decision."""
        words = ((kind(each), self.word(option)) for each in self.every_decision for option in each.options)
        return list(dict.fromkeys(words))

    def word(self, option: Token) -> Token:
        """What a controller reads of an option, which is the option itself, unless there are too many of them."""
        return option

    def likeliest(self, weights: Weights) -> tuple[Token, ...]:
        """The genome derived from the weights of all options: each decision takes the legal option with the largest
        weight. A space may have its own rule. Raises KeyError for a decision without weights."""
        genome: tuple[Token, ...] = ()
        while (decision := self.next(genome)) is not None:
            of = weights[decision.name]
            genome += (max(decision.options, key=lambda option: of.get(option, 0.0)),)
        return genome

    def format(self, genome: Genome) -> str:
        """The code of a genome, as text."""
        self.decisions(genome)
        return " ".join(map(str, genome))

    def parse(self, code: str) -> tuple[Token, ...]:
        """The genome of a code; the inverse of `format`. Raises CodeError, which names the faulty place."""
        genome: tuple[Token, ...] = ()
        for word in code.split():
            decision = self.next(genome)
            named = {str(option): option for option in decision.options} if decision else {}
            genome += (named.get(word, word),)
        self.decisions(genome)
        return genome

    @cached_property
    def every_decision(self) -> tuple[Decision, ...]:
        """The decision of each state, in the order of a walk through all states."""
        found: dict[Hashable, Decision] = {}
        ahead: list[tuple[Token, ...]] = [()]
        while ahead:
            prefix = ahead.pop()
            decision = self.next(prefix)
            if decision is not None and decision.state not in found:
                found[decision.state] = decision
                ahead += [(*prefix, option) for option in reversed(decision.options)]
        return tuple(found.values())

    @cached_property
    def _counted(self) -> dict[Hashable, int]:
        """The number of genomes that can follow each state counted so far."""
        return {}

    @cached_property
    def _weights(self) -> dict[Hashable, list[int]]:
        """The number of genomes that can follow each option, by the state of the decision, for those met in a draw."""
        return {}

    @cached_property
    def _decided(self) -> dict[tuple[Token, ...], list[Decision]]:
        """The decisions of the genomes that were walked or completed last."""
        return {}

    def __getstate__(self) -> dict[str, Any]:
        found_again = ("_counted", "_weights", "_decided", "every_decision")  # workers recompute these
        return {name: value for name, value in self.__dict__.items() if name not in found_again}

    def _completions(self, prefix: tuple[Token, ...]) -> int:
        """The number of genomes that begin with a prefix. Genomes may have more tokens than Python's recursion limit,
        so the prefixes to be counted are kept in a list, each below its successors."""
        decision, counted = self.next(prefix), self._counted
        if decision is None:
            return 1
        waiting: list[tuple[tuple[Token, ...], Decision, list[Decision | None] | None]] = [(prefix, decision, None)]
        while waiting:
            begun, asked, following = waiting.pop()
            if asked.state in counted:  # reached on another path already
                continue
            if following is not None:  # all of them are counted by now
                counted[asked.state] = sum(1 if then is None else counted[then.state] for then in following)
                continue
            if len(begun) >= LONGEST:
                raise UserError(endless(self))
            longer = [(*begun, option) for option in asked.options]
            following = [self.next(each) for each in longer]
            waiting.append((begun, asked, following))
            waiting += [
                (each, then, None) for each, then in zip(longer, following, strict=True)
                if then is not None and then.state not in counted
            ]  # fmt: skip
        return counted[decision.state]


def require_sequence(space: Sequences, who: str) -> None:
    """Raise UserError where genomes are not sequences of decisions, which `who` needs."""
    if not space.is_sequence:
        raise UserError(f"genomes of {space.name} are not sequences of decisions (it has no `next`), which {who} "
                        "needs; use a strategy over its own operators")  # fmt: skip


def require_closed(genome: Genome, why: str) -> None:
    """Raise CodeError with the reason `why` if tokens are open, for spaces that cannot have a supernet."""
    if any(isinstance(token, Open) for token in genome):
        raise CodeError(f"{why}; close them")


def gate_of(name: str, option: Token, token: Token) -> Gate:
    """The gate of an option, where a token answers the decision of this name."""
    if isinstance(token, Open) and len(token.options) > 1:
        return Is(name, option) if option in token.options else 0
    return int(option == (token.options[0] if isinstance(token, Open) else token))


def endless(space: Sequences) -> str:
    """What is wrong with a space whose genomes do not end."""
    return f"{space.name}: a genome has more than {LONGEST:,} tokens; `next` must return None if it is complete"
