"""Schedulers: after how many epochs a training is looked at, and whether it goes on."""

from evonas.fidelity.scheduler import Scheduler, Trial

__all__ = ["Scheduler", "Trial"]
