"""A search space is a sequence of named decisions; everything that follows from `next` alone is implemented here."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from random import Random
from typing import Any, ClassVar, TypeVar

from evonas.decision import Decision as Decision
from evonas.decision import Open as Open
from evonas.decision import Pointer as Pointer
from evonas.errors import UserError
from evonas.gates import Gate, Is
from evonas.graph import Graph
from evonas.morphisms import Heritage
from evonas.recipe import Recipe
from evonas.support.text import brief, listed

K = TypeVar("K", bound=Hashable)  # what tells kinds of decisions apart
LONGEST = 10_000  # tokens of a genome at most
REMEMBERED = 1024  # genomes whose decisions a space keeps: a population, and what is made of it
Token = Hashable
Genome = Sequence[Token]
Weights = Mapping[str, Mapping[Token, float]]  # decision -> {option: weight}


class CodeError(UserError):
    """A genome or code does not belong to the space. The message names the place and what is legal there."""


@dataclass(frozen=True)
class Space:
    """Genomes and their meaning. A space is a frozen dataclass whose fields define the skeleton.

    A subclass defines `name`, `next` and `decode`. It may override `format` and `parse` with its own notation.
    """

    name: ClassVar[str]
    countable: ClassVar[bool] = True  # a walk through all states has an end that one can wait for

    def next(self, prefix: Genome) -> Decision | None:
        """The decision that follows this prefix, or None if the genome is complete."""
        raise NotImplementedError(f"{type(self).__name__} has no `next`")

    def decode(self, genome: Genome) -> Graph:
        """The graph of a genome, which may contain open tokens. This is a pure function. Raises CodeError for a genome
        of another space."""
        raise NotImplementedError(f"{type(self).__name__} has no `decode`")

    def observe(self, prefix: Genome) -> Hashable:
        """The state that Q-learning observes for an incomplete prefix and learns values for. By default it is all that
        determines what may follow, and the last token; without that token, all choices that lead to the same state
        would have the same value. A space may make it coarser."""
        decision = self.next(prefix)
        assert decision is not None
        return decision.state, prefix[-1] if prefix else None

    def branches(self, genome: Genome) -> tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]:
        """Pairs of branches whose tokens, given by their places, may be exchanged with each other, and the network is
        the same, such as the two inputs that a node adds, each with its operation. No place is in two of them, and the
        same tokens are legal at both. A space need not know any."""
        return ()

    @property
    def is_sequence(self) -> bool:
        """Whether genomes are sequences of decisions. Otherwise only the space's own operators vary them."""
        return type(self).next is not Space.next

    def paths(self, genome: Genome) -> list[tuple[str, ...]]:
        """The operations on each path from the input of a closed genome's cell to its output, in order, without those
        that do nothing: features for predictors."""
        raise NotImplementedError(f"{type(self).__name__} has no `paths`")

    @property
    def has_paths(self) -> bool:
        return type(self).paths is not Space.paths

    def vocabulary(self, kind: Callable[[Decision], K]) -> list[tuple[K, Token]]:
        """What a controller may ever read or say: the words of all options, each with the kind of its decision."""
        words = ((kind(each), self.word(option)) for each in self.every_decision for option in each.options)
        return list(dict.fromkeys(words))

    def word(self, option: Token) -> Token:
        """What a controller reads of an option, which is the option itself, unless there are too many of them."""
        return option

    @property
    def points(self) -> bool:
        """Whether some decision points at earlier tokens."""
        return any(each.pointer is not None for each in self.every_decision)

    def heritage(self, parent: Genome, child: Genome, rng: Random) -> Heritage | None:
        """How the network of a genome comes from that of another one, whose weights are known; None: a tensor that has
        the name and shape of one of the other's begins as that one, as in any space."""
        return None

    @property
    def has_heritage(self) -> bool:
        return type(self).heritage is not Space.heritage

    @property
    def unchanged(self) -> tuple[Token, ...] | None:
        """The genome of the network that a space changes, where genomes are changes of one; None: they are not."""
        return None

    def units(self, genome: Genome) -> list[tuple[tuple[str, Token], ...]]:
        """A genome as predictors of sequences read it: in units, such as the blocks of a cell, of (table, token) pairs.
        Tokens of one table share what is learnt of them, and all units have the same tables. By default each decision
        is a unit, its kind or name a part of the token."""
        return [
            (("token", f"{decision.kind or decision.name}={token}"),)
            for decision, token in zip(self.decisions(genome), genome, strict=True)
        ]

    def recipe(self, genome: Genome, recipe: Recipe) -> Recipe:
        """The recipe by which a genome is trained in a search: the given one, unless the genome changes it."""
        return recipe

    def final_recipe(self, genome: Genome, recipe: Recipe) -> Recipe:
        """The same of its final training, which by default the genome does not change."""
        return recipe

    @property
    def networks(self) -> Space:
        """The space of networks alone, where genomes decide fields of the recipe too; by default the space itself."""
        return self

    def over(self, networks: Space) -> Space:
        """The same decisions of the recipe, if there are any, over another space of networks."""
        return networks

    def of_network(self, genome: Genome) -> Genome:
        """The genome for one of `networks`, which is trained as usual."""
        return genome

    # ---- what follows from `next` ---------------------------------------------------------------------------------

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

    def route(self, genome: Genome) -> dict[str, Any]:
        """The route of a closed genome through a supernet: by default the hard one of its answers."""
        return self.answers(genome)

    def likeliest(self, weights: Weights) -> tuple[Token, ...]:
        """The genome derived from the weights of all options: each decision takes the legal option with the largest
        weight. A space may have its own rule. Raises KeyError for a decision without weights."""
        genome: tuple[Token, ...] = ()
        while (decision := self.next(genome)) is not None:
            of = weights[decision.name]
            genome += (max(decision.options, key=lambda option: of.get(option, 0.0)),)
        return genome

    @property
    def supernet(self) -> Space:
        """The space in the form of its supernet; by default the space itself."""
        return self

    def next_open(self, prefix: Genome) -> Decision | None:
        """The decision that an open token answers after this prefix; by default that of `next`. A supernet may add an
        option here that its authors weigh though no genome can take it."""
        return self.next(prefix)

    def within(self, keeps: Callable[[Graph], bool]) -> Space:
        """The space in the size that suits limits, which a graph keeps or not, so that those who draw from it find
        networks that do; by default the space itself."""
        return self

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
        basis of mutation and crossover by name."""
        genome: tuple[Token, ...] = ()
        decisions = []
        while (decision := self.next(genome)) is not None:
            wanted = answers.get(decision.name)
            genome += (wanted if wanted in decision.options else rng.choice(decision.options),)
            decisions.append(decision)
        self._remember(genome, decisions)
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

    def read(self, code: str) -> tuple[str, Graph]:
        """A code as this space writes it, and its graph. Some spaces also read published codes that lie outside them,
        or the names of such codes. Raises CodeError, which names the faulty place."""
        genome = self.parse(code)
        return self.format(genome), self.decode(genome)

    def check(self, rng: Random) -> Graph:
        """The graph of some genome, after what the space can say of itself has been found right. Of a space with
        `next`, `evonas.contract` finds it out; one without has a check of its own, which may raise UserError."""
        raise UserError(f"{self.name} has no `next`; define it, or a `check` that returns the graph of some "
                        "genome, where genomes are no sequences of decisions")  # fmt: skip

    def cells_of(self, code: str) -> Mapping[str, tuple[Any, Sequence[int], Sequence[int]]] | None:
        """The cells of a code's network, as `plots.cells` takes them; None if it does not consist of cells."""
        return None

    def to_json(self) -> dict[str, Any]:
        """The name and fields, for journals and keys; two spaces with equal JSON decode genomes in the same way."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        return {"name": self.name} | {k: list(v) if isinstance(v, tuple) else v for k, v in plain.items()}

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


def require_sequence(space: Space, who: str) -> None:
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


def endless(space: Space) -> str:
    """What is wrong with a space whose genomes do not end."""
    return f"{space.name}: a genome has more than {LONGEST:,} tokens; `next` must return None if it is complete"
