"""The past of a phase, as its journal has it: the strategy proposes again what was asked, and is told again what was
told; what was in flight is submitted again."""

from __future__ import annotations

from evonas.individual import Individual
from evonas.run.course import Course, id_of, still_waits
from evonas.run.journal import JournalError, outcome_of


def replay(course: Course) -> bool:
    """Replay what the journal holds of this phase; True where it had ended."""
    waiting: dict[int, Individual] = {}
    for line, event in course.loop.past:
        course.loop.at = event["t"]
        if event["event"] == "ended" and event["id"] == course.phase.name:
            course.phase.ended_because = event["because"]
            course.loop.on_event(event, True)
            return True
        if event["event"] == "asked":
            individual = course.propose()
            proposed = None if individual is None else (individual.id, list(individual), course.phase.name)
            recorded = (event["id"], event["genome"], event["phase"])
            if individual is None or proposed != recorded:
                raise _not_ours(course, line, f"the journal has {recorded} where the strategy proposes {proposed}")
            waiting[event["id"]] = individual
            if event["key"]:  # without one it was rejected
                identity, _, replicate = event["key"].rpartition("#")
                course.identify(individual, identity, int(replicate))
                course.phase.asked.append(individual)
                if (asked_for := event.get("epochs")) and (epochs := course.begin(individual)) != asked_for:
                    raise _not_ours(course, line, f"{event['id']} began with {asked_for} epochs, now with {epochs}")
        elif event["event"] == "continued":
            found = course.trainings.next()
            goes_on = None if found is None else (found[0].id, found[1])
            if found is None or goes_on != (event["id"], event["epochs"]):
                raise _not_ours(course, line, f"{event['id']} went on to {event['epochs']} epochs, now it is {goes_on}")
            waiting[event["id"]] = found[0]
            course.waiting.setdefault(course.keys[event["id"]], [])
        elif event["event"] == "closed" and event["id"] == course.phase.name:
            _replay_stops(course, course.trainings.close() or [])
        elif event["event"] != "told" or event["id"] not in waiting:
            raise _not_ours(course, line, f"{event['event']} of {event['id']} is of no phase {course.phase.name}")
        elif (event["status"] == "rejected") != (event["id"] not in course.keys):
            raise _not_ours(course, line, f"{event['id']} was {'not ' * (event['id'] in course.keys)}rejected before")
        elif event["status"] == "rejected":
            course.hear_rejection(waiting.pop(event["id"]))
        elif len(event["values"]) not in (0, len(course.phase.weights)):
            raise _not_ours(course, line, f"{len(event['values'])} values for {len(course.phase.weights)} objectives")
        else:
            individual, outcome = waiting.pop(event["id"]), outcome_of(event)
            if event["reused"]:
                course.hear(individual, outcome, reused=True)
            else:
                outcome, stopped = course.trainings.report(individual, event["id"], outcome)
                if event.get("waits", False) != still_waits(individual, stopped):
                    raise _not_ours(course, line, f"{event['id']} was {'not ' * event.get('waits', False)}stopped")
                course.learn(individual, outcome)
                _replay_stops(course, stopped)
        course.loop.on_event(event, True)
    candidates = {}
    for individual in waiting.values():  # all of them are in flight before the first one is told
        candidates[id_of(individual)] = candidate = course.phase.candidate(individual)
        if id_of(individual) in course.keys:
            course.phase.keeper.begin(individual, candidate)
            candidate.identity = course.keys[id_of(individual)].rpartition("#")[0]
    for individual in waiting.values():
        candidate = candidates[id_of(individual)]
        if id_of(individual) in course.trainings.trials:
            course.hand_out(individual, candidate, again=True)
        elif id_of(individual) in course.keys:
            course.submit(individual, candidate, again=True)
        else:
            course.reject(individual, course.phase.rejects(candidate))
    return False


def _replay_stops(course: Course, stopped: list[Individual]) -> None:
    """The strategy hears of them. Those that waited for the same results have events of their own."""
    for individual in stopped:
        course.hear(individual, course.phase.outcomes[id_of(individual)])
        course.waiting.pop(course.keys[id_of(individual)], None)


def _not_ours(course: Course, line: int, why: str) -> JournalError:
    return JournalError(f"{course.loop.journal.path}, line {line}: {why}; resume with the settings and the evonas "
                        "that began the run, and the journal as it was written")  # fmt: skip
