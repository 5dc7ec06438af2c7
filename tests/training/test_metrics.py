"""When a reported metric is the best so far."""

import math

import pytest

from survivor.errors import UsageError
from survivor.training.metrics import Metrics


def improves(metrics, values):
    metrics.report(values)
    return metrics.take_improved()


def test_only_a_strictly_better_value_is_a_new_best():
    metrics = Metrics(("min:loss", "max:accuracy"))
    assert improves(metrics, {"loss": 2.0})
    assert not improves(metrics, {"loss": 2.0})
    assert not improves(metrics, {"loss": 3.0})
    assert improves(metrics, {"loss": 1.0})
    assert improves(metrics, {"accuracy": -5.0, "loss": 9.0})
    assert metrics.best == {"min:loss": 1.0, "max:accuracy": -5.0}
    assert metrics.values == {"loss": 9.0, "accuracy": -5.0}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_never_the_best(value):
    metrics = Metrics(("min:loss", "max:loss"))
    assert not improves(metrics, {"loss": value})
    assert improves(metrics, {"loss": 1.0})


def test_a_resumed_job_knows_its_best_and_a_new_goal_begins_anew():
    metrics = Metrics(("min:loss", "max:accuracy"))
    metrics.restore({"loss": 5.0, "accuracy": 0.5}, {"min:loss": 1.0, "min:gone": 3.0})
    assert metrics.best == {"min:loss": 1.0}
    assert not improves(metrics, {"loss": 2.0})
    assert improves(metrics, {"accuracy": 0.1})


def test_a_goal_that_is_none_is_refused():
    with pytest.raises(UsageError, match="min:NAME or max:NAME"):
        Metrics(("loss",))
