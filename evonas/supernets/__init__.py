"""Gradient-based search: a supernet is trained, and the policy that draws routes through it learns which genome to
derive.

search.py       the search that all systems share: one genome after each epoch
training.py     a supernet in training: the loss on a route, a step of the weights
policy.py       how routes are drawn and learned, which is where the systems differ
collapse.py     a warning when skip connections have taken over
darts.py, ...   one system each, to be read beside its paper
"""
