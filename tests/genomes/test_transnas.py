"""TransNAS-Bench-101: cells and skeletons, their codes, and their networks."""

import csv
import gzip
import os
from pathlib import Path

import pytest
import torch

from evonas.genomes.transnas import TransNASMacroSpace, TransNASMicroSpace
from evonas.network import build
from evonas.space import CodeError
from evonas.support.streams import stream

TABLE = Path(os.environ.get("EVONAS_TABLES", Path(__file__).parents[3] / "shared" / "data")) / "transnas101.csv.gz"
MICRO, MACRO = TransNASMicroSpace(), TransNASMacroSpace()


def test_spaces_have_the_published_sizes():
    assert MICRO.count() == 4_096
    assert MACRO.count() == 3_256


def test_codes_are_the_official_strings():
    assert MICRO.parse("64-41414-1_02_333") == (1, 0, 2, 3, 3, 3)
    assert MACRO.parse("64-1234-basic") == (4, 1, 2, 3, 4)
    for space in (MICRO, MACRO):
        for seed in range(50):
            genome = space.random(stream(seed, "codes"))
            assert space.parse(space.format(genome)) == genome


@pytest.mark.skipif(not TABLE.exists(), reason="the table transnas101.csv.gz is not here")
def test_the_spaces_hold_what_the_table_holds():
    with gzip.open(TABLE, "rt") as file:
        rows = list(csv.DictReader(file))
    for space, kind in ((MICRO, "micro"), (MACRO, "macro")):
        assert {space.key(genome) for genome in space.genomes()} == {
            row["arch"] for row in rows if row["space"] == kind
        }


@pytest.mark.parametrize(
    ("space", "code", "says"),
    [
        (MICRO, "64-41414-1_02_334", "one looks like 64-41414-1_02_333"),
        (MICRO, "32-41414-1_02_333", "one looks like"),
        (MICRO, "64-41414-1_02_33٣", "one looks like"),
        (MACRO, "64-123-basic", "four to six digits"),
        (MACRO, "64-1111-basic", "takes one of 4"),  # neither wider nor smaller anywhere
        (MACRO, "64-222222-basic", "takes one of 1, 3"),  # wider more than three times
    ],
)
def test_codes_of_no_network_are_refused(space, code, says):
    with pytest.raises(CodeError, match=says):
        space.parse(code)


@pytest.mark.parametrize(
    ("space", "code", "parameters"),
    [  # of the authors' code with 75 classes
        (MICRO, "64-41414-0_00_000", 57_963),
        (MICRO, "64-41414-1_01_030", 7_904_619),
        (MICRO, "64-41414-2_00_221", 2_285_163),
        (MICRO, "64-41414-3_33_333", 41_450_091),
        (MACRO, "64-4111-basic", 2_327_275),
        (MACRO, "64-331122-basic", 3_264_363),
        (MACRO, "64-342121-basic", 23_031_787),
    ],
)
def test_networks_have_the_parameters_of_the_authors(space, code, parameters):
    graph = space.decode(space.parse(code))
    assert graph.parameters == parameters
    assert graph.output_shape == (75,)


@pytest.mark.parametrize("space", [TransNASMicroSpace(4, (3, 17, 13), 5), TransNASMacroSpace(4, (3, 17, 13), 5)])
def test_networks_of_odd_images_can_be_run(space):
    for seed in range(10):
        graph = space.decode(space.random(stream(seed, "odd")))
        assert build(graph)(torch.zeros(2, 3, 17, 13)).shape == (2, 5)
