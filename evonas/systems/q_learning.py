"""Q-learning as a strategy by name, over any space."""

from __future__ import annotations

from random import Random

from evonas.errors import UserError
from evonas.space import Space
from evonas.strategies.q_learning import BLOCK_QNN_SCHEDULE, METAQNN_SCHEDULE, QLearning, scaled

SCHEDULES = {
    "table": ((1.0, 15), (0.5, 15), (0.2, 20), (0.1, 50)),  # epsilon, and for how many in a hundred queries
    "metaqnn": METAQNN_SCHEDULE,
    "block-qnn": BLOCK_QNN_SCHEDULE,
    "uniform": ((1.0, 1),),  # each token is drawn from the legal ones throughout: what a search is held against
}


def q_learning(
    space: Space,
    *,
    rng: Random,
    schedule: str = "table",
    shaping: bool = True,
    rate: float = 0.1,
    discount: float = 1.0,
    initial: float = 0.5,
    replays: int = 100,
    at_once: bool = True,
    evaluations: int = 200,
) -> QLearning:
    """Tabular Q-learning of the value of each token.

    schedule      of epsilon, stretched over the evaluations: table (for a few hundred), metaqnn, block-qnn, uniform
    shaping       each decision has its part of the reward (Block-QNN); without, a value is that of the best that can
                  follow, and where states forget what came before, as on tables, no early decision is worth more than
                  another
    rate          alpha, the share of the difference that an update makes up for
    discount      gamma, of the value of the next state
    initial       value of a token that was never chosen
    replays       genomes that are learnt again after each
    at_once       a new genome is learnt as it arrives too, not by replays alone
    evaluations   in all
    """
    if schedule not in SCHEDULES:
        raise UserError(f"schedule is {schedule!r}; use one of {', '.join(SCHEDULES)}")
    if evaluations < 1:
        raise UserError(f"evaluations is {evaluations}; use at least 1")
    return QLearning(
        space, rng=rng, schedule=scaled(SCHEDULES[schedule], evaluations), distinct=False, rate=rate,
        discount=discount, initial=initial, replays=replays, at_once=at_once, shaping=shaping, evaluations=evaluations,
    )  # fmt: skip
