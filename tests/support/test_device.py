"""The rules by which device, precision and memory are chosen."""

import pytest

from evonas.errors import UserError
from evonas.genomes.darts import DARTSSpace
from evonas.genomes.genet import DIGITS
from evonas.support import device
from evonas.support.device import choose_device, choose_precision
from evonas.support.streams import stream

DENSE = DIGITS.decode((1,) * 9)
CELLS = DARTSSpace(layers=3, channels=4)
TINY = DARTSSpace(layers=3, channels=4, input_shape=(1, 8, 8))
TINY = TINY.decode(TINY.random(stream(0, "cells")))
DEPTHWISE = CELLS.decode(CELLS.random(stream(0, "cells")))


@pytest.mark.parametrize(
    ("features", "network", "precision"),
    [("avx2", DENSE, "float32"), ("avx2 avx512_bf16", DENSE, "bfloat16"), ("amx_bf16", DENSE, "bfloat16"),
     ("avx2 avx512_bf16", DEPTHWISE, "bfloat16"), ("avx2 avx512_bf16", TINY, "float32")],
)  # fmt: skip
def test_bfloat16_is_chosen_where_the_cpu_has_it_and_the_network_gains(monkeypatch, features, network, precision):
    monkeypatch.setattr(device.Path, "exists", lambda path: True)
    monkeypatch.setattr(device.Path, "read_text", lambda path, **_: f"flags : {features}")
    assert choose_precision("auto", "cpu", lambda: network) == precision
    assert choose_precision("float32", "cpu", lambda: network) == "float32"


def test_unknown_devices_and_precisions_are_refused():
    with pytest.raises(UserError, match="use one of auto, float32, bfloat16"):
        choose_precision("half", "cpu", lambda: DENSE)
    with pytest.raises(UserError, match="use one of auto, cpu, cuda"):
        choose_device("tpu")


def test_a_container_may_have_less_memory_than_its_machine(monkeypatch):
    whole = device.memory_of("cpu")
    monkeypatch.setattr(device.Path, "exists", lambda path: True)
    monkeypatch.setattr(device.Path, "read_text", lambda path, **_: "2000000000\n")
    assert device.memory_of("cpu") == 1_300_000_000 < whole
    monkeypatch.setattr(device.Path, "read_text", lambda path, **_: "max\n")
    assert device.memory_of("cpu") == whole
