"""survivor: a fault-tolerant job wrapper for PyTorch training."""

__version__ = "0.1.0"
