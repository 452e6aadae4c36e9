"""Which settings help where a space has no networks within the limits."""

import pytest

import evonas
from evonas.errors import UserError
from evonas.evaluation.limits import Limits
from evonas.run.smaller import smaller
from evonas.systems import registry
from evonas.systems.settings import read_words


def setup_of(name, preset):
    return registry.setup(registry.system(name), preset)


def test_a_field_that_is_named_helps_with_as_few_halvings_as_it_takes():
    setup, limits = setup_of("genet", "digits"), Limits(parameters=3000)
    assert setup.space.filters == (12, 24)
    said = smaller(setup, limits)
    assert said.startswith("--set filters=")
    sized = setup.having(read_words([said.removeprefix("--set ")]))
    assert sized.space.filters == (6, 12)


def test_all_fields_become_smaller_where_none_is_enough():
    said = smaller(setup_of("mnasnet", "digits"), Limits(multiply_adds=10_000))
    assert said.count("=") > 1
    assert "strides" not in said


def test_nothing_is_advised_where_nothing_helps():
    assert smaller(setup_of("nasbench201", "own"), Limits(parameters=1)) == ""


def test_the_error_names_a_setting_that_the_system_has(tmp_path, monkeypatch):
    monkeypatch.setattr("evonas.evaluation.limits.DRAWS", 30)
    with pytest.raises(UserError, match=r"make the space smaller \(--set channels=\d+") as refused:
        evonas.search("nasnet", "digits", max_parameters="10k", out=tmp_path / "run")
    assert "filters" not in str(refused.value)
    assert not (tmp_path / "run").exists()
