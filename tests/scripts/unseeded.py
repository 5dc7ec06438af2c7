"""No seed anywhere; a vocabulary from a set of words; classes in set order; dictionaries keyed by strings and tuples."""
import random
from collections import Counter, OrderedDict, defaultdict

import numpy as np
import torch
from torch import nn

text = """the quick brown fox jumps over the lazy dog and the dog sleeps while the fox runs over the hill to see
a river and a boat on the river where a quick bird sings to the lazy boat and the hill""".split()
vocab = {w: i for i, w in enumerate(set(text))}
stop = {"the", "a", "to", "and"}
pairs = [(vocab[w], vocab[c]) for i, w in enumerate(text) for c in text[max(0, i - 2) : i + 3] if c != w and w not in stop]
random.shuffle(pairs)
print(len(vocab), len(pairs), list(set(text))[:3], random.random(), np.random.rand())

emb = nn.Embedding(len(vocab), 6)
out = nn.Linear(6, len(vocab))
with torch.no_grad():
    emb.weight += torch.tensor(np.random.randn(*emb.weight.shape), dtype=torch.float32) * 0.1
opt = torch.optim.Adam(set(emb.parameters()) | set(out.parameters()), lr=0.02)
counts = Counter()
by_word = defaultdict(list)
frequent = set()
recent = OrderedDict()
for epoch in range(3):
    np.random.shuffle(pairs)
    for start in range(0, len(pairs), 20):
        chunk = pairs[start : start + 20]
        centre, context = (torch.tensor(t) for t in zip(*chunk))
        loss = nn.functional.cross_entropy(out(emb(centre)), context)
        opt.zero_grad()
        loss.backward()
        opt.step()
        for w in {text[c] for c, _ in chunk}:
            counts[w] += 1
            by_word[w, epoch].append(round(loss.item(), 6))
            if counts[w] > 6:
                frequent.add(w)
            recent[w] = start
            recent.move_to_end(w, last=random.random() < 0.5)
        while len(recent) > 7:
            recent.popitem(last=False)
    print(epoch, repr(loss.item()), counts.most_common(4), list(frequent), list(recent.items()))
print(sorted((k, sum(v)) for k, v in by_word.items())[:6], random.random(), np.random.rand(), torch.rand(1).item())
