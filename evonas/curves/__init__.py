"""Learning curves: what their first epochs tell of their end.

model.py         a curve, a forecast, and what a curve model promises
statistics.py    last value, best so far, sum of training losses
baker.py         a regression for each prefix length (Baker et al. 2017)
domhan.py        a mixture of parametric curves, sampled (Domhan et al. 2015)
lcnet.py         a Bayesian network over configurations and time (Klein et al. 2017)
termination.py   when a forecast says to stop
features.py      features of networks and trainings as columns; table.py reads curves from a file
"""

from evonas.curves.model import Curve, CurveModel, Forecast

__all__ = ["Curve", "CurveModel", "Forecast"]
