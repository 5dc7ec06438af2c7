"""Totals in globals, and a class."""

import random

count = 0
TOTALS = {"loss": random.random()}


class Meter:
    made = 0

    def __init__(self, value):
        Meter.made += 1
        self.value = value
        self.seen = Meter.made / 100


def add(value):
    global count
    count += 1
    TOTALS["loss"] += value
