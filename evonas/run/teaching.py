"""The teacher of a run, by which its networks are trained: the winner of another run, or a network that is trained
first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evonas.errors import RunError, UserError
from evonas.evaluation import Candidate, Decoder, Outcome
from evonas.evaluation.candidate import FRESH, Origin
from evonas.evaluation.checkpoints import Checkpoints
from evonas.evaluation.evaluator import Evaluator
from evonas.evaluation.keeper import Keeper
from evonas.evaluation.parcel import facts_in
from evonas.evaluation.store import WeightsLost, WeightStore
from evonas.evaluation.teacher import Teacher, packed
from evonas.evaluation.training import Training
from evonas.fidelity.pieces import Pieces
from evonas.genomes.start import GivenGraph
from evonas.graph import Graph
from evonas.individual import Individual
from evonas.model.trained import TrainedNetwork
from evonas.run.budget import Budget
from evonas.run.config import TEACHER
from evonas.run.finals import standing_for
from evonas.run.loop import Loop
from evonas.run.phase import Phase
from evonas.run.store import Run
from evonas.run.trainings import Trainings
from evonas.strategies import Strategy
from evonas.strategies.first import First
from evonas.support.files import checksum, place
from evonas.systems.setup import Setup
from evonas.tasks.task import Task

if TYPE_CHECKING:
    from evonas.run.problem import Problem

ROLE = TEACHER


@dataclass(frozen=True)
class Lent:
    """A trained network that is to teach, not yet in the directory of a run. `content` as `evonas.evaluation.teacher`
    packs it."""

    content: bytes

    @classmethod
    def of(cls, directory: str | Path) -> Lent:
        """The winner of the run in a directory, or the trained network that lies in it. Raises UserError where there is
        neither, or it is damaged."""
        folder = place(directory)
        trained = TrainedNetwork.open(folder) if TrainedNetwork.exists(folder) else None
        if trained is None and Run.exists(folder):
            trained = Run.open(folder).finalist()
            if trained is None:
                raise UserError(f"the run in {directory} has no trained winner yet; go on with 'evonas resume "
                                f"{directory}', or give another teacher")  # fmt: skip
        if trained is None:
            raise UserError(f"{directory} holds neither a run nor a trained network that could teach; name the --out "
                            "of a search, or of evonas train")  # fmt: skip
        from evonas.training.weights import saved

        known = trained.facts.get(f"validation_{trained.metric}")
        value = trained.test if known is None else known
        return cls(packed(saved(trained.network()), trained.graph, value, trained.preprocessing))

    @property
    def graph(self) -> str:
        """As JSON."""
        return facts_in(self.content)["graph"]

    def teacher(self) -> Teacher:
        """With its content, for this process."""
        facts = facts_in(self.content)
        file = self.file(Path())
        return Teacher(file, file.stem, facts["graph"], facts["value"], content=self.content)

    def file(self, directory: Path) -> Path:
        """Where it lies in the directory of a run."""
        return directory / TEACHER / f"{checksum(self.content)}.safetensors"


@contextmanager
def lent_to(directory: Path, given: str | Path | None, begun: bool) -> Iterator[Lent | None]:
    """The teacher that a run is given, which lies in its directory from here on: not where the run cannot be begun, and
    not where it has been begun, and has its own."""
    if given is None:
        yield None
        return
    lent, made = Lent.of(given), not directory.exists()
    file = lent.file(directory)
    if not begun:
        WeightStore(file.parent).put(lent.content)
    try:
        yield lent
    except UserError:
        if not begun:
            file.unlink()
            with suppress(OSError):  # somebody's files lie beside it
                file.parent.rmdir()
                if made:
                    directory.rmdir()
        raise


def beginning_with(lent: Lent | None, setup: Setup, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a set-up whose space, if it begins with a network and nobody says with which, begins with the
    teacher's."""
    said = "start" in settings or "space.start" in settings
    known = {each.name for each in fields(setup.space.networks)}
    if lent is None or said or "start" not in known:
        return dict(settings)
    trained = {f"space.{name}": 0 for name in ("first_epochs", "first_rate") if name in known}  # as it is already
    return trained | dict(settings) | {"space.start": lent.graph}


def beginning(problem: Problem) -> Origin:
    """The weights with which a search of changes of the teacher's network begins. Raises RunError where they are
    lost."""
    start = problem.space.unchanged
    if start is None or problem.teacher is None:
        return FRESH
    teacher = found(Path(problem.teacher))
    return Origin(teacher.name, teacher.fetched(), genome=start)


def found(file: Path) -> Teacher:
    """The teacher in a run's directory. Raises RunError where it is lost."""
    try:
        return Teacher.read(file)
    except WeightsLost as lost:
        raise RunError(f"the teacher of this run is lost: {lost}; put {file} back, or begin anew with another "
                       "one") from None  # fmt: skip


def first_teacher(problem: Problem) -> Graph | None:
    """The network that is trained to teach before anything else, where recipes distil and none is given."""
    if problem.teacher is not None or problem.system.taught_by is None or not problem.distills:
        return None
    return problem.system.taught_by(problem.space)


def teaching_graph(problem: Problem) -> Graph | None:
    """The network by which recipes distil, given or trained first; None: they do not. Raises WeightsLost."""
    if not problem.distills:
        return None
    return first_teacher(problem) if problem.teacher is None else Teacher.read(Path(problem.teacher)).graph


def check(run: Run, strategy: Strategy) -> None:
    """Raises UserError for recipes that distil without a teacher, for a teacher of which nobody learns and from which
    nothing begins, or that cannot teach, and for candidates that are judged in another way than by such trainings."""
    from evonas.training.distillation import check_nodes

    problem = run.problem
    begins = problem.space.unchanged is not None and run.config.inherit
    if problem.teacher is not None and not problem.distills and not begins:
        raise UserError("there is a teacher, but no recipe distils; set distill=1 (and final.distill=1), or leave the "
                        "teacher out")  # fmt: skip
    if problem.teacher is not None and run.task is not None:
        Teacher.read(Path(problem.teacher)).check(run.task)
    if not problem.distills or run.task is None:
        return
    usual = Training(run.task, problem.search, run.config.seed)
    if problem.evaluate is None and problem.search.distills and strategy.evaluator(usual) is not usual:
        raise UserError(f"the search recipe distils, but {problem.chosen.name} trains in a way of its own, which has "
                        "no teacher; leave distill and features out of it")  # fmt: skip
    if problem.setup.supernet is not None and problem.search.distills:
        raise UserError("the search recipe distils, but it trains a supernet, which has no teacher; leave distill and "
                        "features out of it")  # fmt: skip
    graph = teaching_graph(problem)
    if graph is None:
        which = "search" if problem.search.distills else "final"
        raise UserError(f"the {which} recipe distils, and there is no teacher; give the directory of a finished run "
                        "(--teacher DIR), or leave distill and features out")  # fmt: skip
    for recipe in (problem.search, problem.final):
        check_nodes(recipe, graph, "the teacher")


class TeacherKeeper(Keeper):
    """The teacher is on disk before the journal says that it has been trained."""

    def __init__(self, store: WeightStore, graph: Graph, task: Task) -> None:
        self.store, self.graph, self.task = store, graph, task

    def begin(self, individual: Individual, candidate: Candidate) -> None:
        candidate.keeps = True

    def keep(self, individual: Individual, outcome: Outcome) -> Outcome:
        if outcome.weights is None:
            return outcome
        from evonas.network import build
        from evonas.scheduled import finished
        from evonas.training.weights import inherit, saved

        network = build(self.graph.simplified(training=True))
        inherit(network, outcome.weights)
        content = packed(
            saved(finished(network)), self.graph.simplified(), outcome.values[0], self.task.preprocessing()
        )
        return replace(outcome, weights=None, kept=self.store.put(content))


def trained(
    graph: Graph,
    evaluator: Evaluator,
    task: Task,
    directory: Path,
    loop: Loop,
    checkpoints: Checkpoints,
    begin: Callable[..., None],
) -> Path:
    """Train a network to teach, on the training split, so that what it is worth on the validation split can be held
    against what its pupils are worth there; the file in which it lies. It is trained in pieces, each of which can be
    gone on from. Raises RunError where it fails."""
    assert evaluator.epochs is not None, "it is a training"
    store = WeightStore(directory / TEACHER)
    phase = Phase(
        ROLE,
        First([standing_for(ROLE, ())]),
        evaluator,
        roles={ROLE: Decoder(GivenGraph.of(graph))},
        keeper=TeacherKeeper(store, graph, task),
        trainings=Trainings(Pieces(evaluator.epochs, 1), checkpoints, whole=frozenset()),
    )
    begin(ROLE, Budget(epochs=evaluator.epochs), 0)
    loop.run(phase, Budget())
    (outcome,) = phase.outcomes.values()
    if outcome.failed or outcome.kept is None:
        raise RunError(f"the teacher could not be trained: {outcome.reason}; begin anew with other settings")
    return directory / TEACHER / f"{outcome.kept}{store.suffix}"
