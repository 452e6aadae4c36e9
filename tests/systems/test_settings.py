"""The signature and the docstring of a constructor are the schema and the help of its settings."""

from random import Random

from evonas.systems.settings import settings_of


class Climb:
    """Hill climbing.

    step   mutations of a child,
           one after the other
    """

    def __init__(self, toolbox: object, rng: Random, step: int = 1, *, sizes: tuple[int, ...] = (2, 3), log=print):
        self.toolbox, self.rng, self.step, self.sizes, self.log = toolbox, rng, step, sizes, log


def test_what_has_a_default_that_a_text_can_say_is_a_setting_wherever_it_stands_in_the_signature():
    found = settings_of(Climb)
    assert list(found) == ["step", "sizes"]  # no text can say a generator or a function
    assert found["step"].help == "mutations of a child, one after the other"
    assert (found["step"].default, found["step"].kind, found["step"].read("4", "step")) == (1, int, 4)
    assert found["sizes"].read("4,5", "sizes") == (4, 5)
