"""Trackers: what follows a run beside its own records, such as TensorBoard or optuna-dashboard.

tracker.py       the contract, and what a tracker learns of a run as it begins
candidates.py    what was asked joined with what was told, for trackers that want whole candidates
named.py         those that have a name, and what a user may give as `track`
tensorboard.py   event files
optuna.py        trials in a journal of Optuna's
logged.py        modules of the call shape of wandb: init, log, finish
"""
