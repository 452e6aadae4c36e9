"""Gradients as an optimizer: a supernet is trained, and what draws the routes through it learns which genome to derive.

search.py       one search for all systems: an epoch, a genome
training.py     a supernet in training: the loss on a route, a step of the weights
policy.py       how routes are drawn and learned: what the systems differ in
collapse.py     a warning where skip connections have taken over
darts.py, ...   a system each, beside its paper
"""
