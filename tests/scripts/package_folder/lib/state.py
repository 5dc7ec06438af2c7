seen = 0
history = []


class Totals:
    batches = 0
    loss = 0.0
