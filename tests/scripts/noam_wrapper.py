"""A transformer with the Noam schedule: the wrapper counts by itself; an optimizer made anew inside each call too."""
import torch
import torch.nn as nn


class NoamOpt:
    "Optim wrapper that implements rate."

    def __init__(self, model_size, factor, warmup, optimizer):
        self.optimizer = optimizer
        self._step = 0
        self.warmup = warmup
        self.factor = factor
        self.model_size = model_size
        self._rate = 0

    def step(self):
        self._step += 1
        rate = self.rate()
        for p in self.optimizer.param_groups:
            p["lr"] = rate
        self._rate = rate
        self.optimizer.step()

    def rate(self, step=None):
        if step is None:
            step = self._step
        return self.factor * (self.model_size ** (-0.5) * min(step ** (-0.5), step * self.warmup ** (-1.5)))


class LabelSmoothing(nn.Module):
    def __init__(self, size, smoothing=0.0):
        super().__init__()
        self.criterion = nn.KLDivLoss(reduction="sum")
        self.confidence, self.smoothing, self.size = 1.0 - smoothing, smoothing, size
        self.true_dist = None

    def forward(self, x, target):
        true_dist = x.data.clone()
        true_dist.fill_(self.smoothing / (self.size - 1))
        true_dist.scatter_(1, target.data.unsqueeze(1), self.confidence)
        self.true_dist = true_dist
        return self.criterion(x, true_dist)


class Batch:
    def __init__(self, src):
        self.src, self.trg, self.trg_y = src, src[:, :-1], src[:, 1:]
        self.ntokens = self.trg_y.numel()


def data_gen(V, batch, nbatches):
    "Generate random data for a src-tgt copy task."
    for i in range(nbatches):
        data = torch.randint(1, V, (batch, 5))
        data[:, 0] = 1
        yield Batch(data)


class SimpleLossCompute:
    def __init__(self, generator, criterion, opt=None):
        self.generator, self.criterion, self.opt = generator, criterion, opt

    def __call__(self, x, y, norm):
        x = self.generator(x).log_softmax(-1)
        loss = self.criterion(x.reshape(-1, x.size(-1)), y.reshape(-1)) / norm
        if self.opt is not None:
            loss.backward()
            self.opt.step()
            self.opt.optimizer.zero_grad()
        return loss.item() * norm


def run_epoch(data_iter, model, loss_compute):
    total_tokens = total_loss = tokens = 0
    for i, batch in enumerate(data_iter):
        h = emb(batch.src) + pos[:5]
        out = model(h, emb(batch.trg) + pos[:4])
        loss = loss_compute(out, batch.trg_y, batch.ntokens)
        total_loss += loss
        total_tokens += batch.ntokens
        tokens += batch.ntokens
        if i % 3 == 1:
            print("Epoch Step: %d Loss: %r Tokens: %d" % (i, loss / batch.ntokens, tokens))
            tokens = 0
    return total_loss / total_tokens


def adapt(model, epoch):
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    for _ in range(3):
        loss = generator(model(emb(probe), emb(probe))).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


torch.manual_seed(40)
V, d = 9, 8
emb, generator = nn.Embedding(V, d), nn.Linear(d, V)
pos = torch.randn(8, d)
probe = torch.randint(0, V, (2, 4))
model = nn.Transformer(d, 2, 1, 1, 16, dropout=0.1, batch_first=True)
params = [*model.parameters(), *emb.parameters(), *generator.parameters()]
criterion = LabelSmoothing(V, 0.1)
opt = NoamOpt(d, 1, 10, torch.optim.Adam(params, lr=0, betas=(0.9, 0.98), eps=1e-9))
for epoch in range(3):
    model.train()
    train_loss = run_epoch(data_gen(V, 6, 5), model, SimpleLossCompute(generator, criterion, opt))
    adapted = adapt(model, epoch)
    model.eval()
    with torch.no_grad():
        value = run_epoch(data_gen(V, 6, 2), model, SimpleLossCompute(generator, criterion, None))
    print(epoch, repr(train_loss), repr(adapted), repr(value), opt._step, repr(opt._rate))
