"""Strategies beside each other, over many seeds."""
