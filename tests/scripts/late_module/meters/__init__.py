"""Sums over a whole run."""
