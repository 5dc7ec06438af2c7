"""survivor: a fault-tolerant job wrapper for PyTorch training.

Kill a training script at any moment, run the same command again, and get the bits of the run that was
left alone. Most users need none of these names: ``survivor run train.py`` is enough.
"""

from survivor.api import ignore, loop, report, track
from survivor.decorator import survivable

__version__ = "0.1.0"
__all__ = ["ignore", "loop", "report", "survivable", "track"]


def load_ipython_extension(_ipython: object) -> None:
    """``%load_ext survivor`` makes the cell magic ``%%survivable`` known."""
    from survivor.magic import register

    register()
