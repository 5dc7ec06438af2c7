"""A word-level LSTM: the hidden state is carried across batches, once detached at the head, once after the step."""
import torch
import torch.nn as nn

torch.manual_seed(1111)
corpus = torch.randint(0, 15, (260,))
bptt, bsz = 5, 4


def batchify(data):
    n = data.size(0) // bsz
    return data.narrow(0, 0, n * bsz).view(bsz, -1).t().contiguous()


def get_batch(source, i):
    n = min(bptt, len(source) - 1 - i)
    return source[i : i + n], source[i + 1 : i + 1 + n].view(-1)


class RNNModel(nn.Module):
    def __init__(self, kind="LSTM"):
        super().__init__()
        self.drop = nn.Dropout(0.2)
        self.encoder = nn.Embedding(15, 8)
        self.rnn = getattr(nn, kind)(8, 8, 2, dropout=0.2)
        self.decoder = nn.Linear(8, 15)
        self.decoder.weight = self.encoder.weight

    def forward(self, x, hidden):
        output, hidden = self.rnn(self.drop(self.encoder(x)), hidden)
        return self.decoder(self.drop(output)).view(-1, 15), hidden

    def init_hidden(self):
        weight = next(self.parameters())
        return weight.new_zeros(2, bsz, 8), weight.new_zeros(2, bsz, 8)


def repackage_hidden(h):
    return h.detach() if isinstance(h, torch.Tensor) else tuple(repackage_hidden(v) for v in h)


train_data, val_data = batchify(corpus[:200]), batchify(corpus[200:])
model = RNNModel()
criterion = nn.CrossEntropyLoss()
lr, best = 1.0, None


def evaluate(source):
    model.eval()
    total, hidden = 0.0, model.init_hidden()
    with torch.no_grad():
        for i in range(0, source.size(0) - 1, bptt):
            data, targets = get_batch(source, i)
            output, hidden = model(data, hidden)
            hidden = repackage_hidden(hidden)
            total += len(data) * criterion(output, targets).item()
    return total / (len(source) - 1)


def train():
    model.train()
    hidden = model.init_hidden()
    for batch, i in enumerate(range(0, train_data.size(0) - 1, bptt)):
        data, targets = get_batch(train_data, i)
        model.zero_grad()
        hidden = repackage_hidden(hidden)  # still holds the last batch's graph here
        output, hidden = model(data, hidden)
        loss = criterion(output, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        for p in model.parameters():
            p.data.add_(p.grad, alpha=-lr)
        if batch % 4 == 3:
            print(f"| {epoch} | {batch} | lr {lr!r} | loss {loss.item()!r}")


for epoch in range(1, 4):
    train()
    val_loss = evaluate(val_data)
    print("end of epoch", epoch, repr(val_loss))
    if not best or val_loss < best:
        with open("model.pt", "wb") as f:
            torch.save(model.state_dict(), f)
        best = val_loss
    else:
        lr /= 4.0

gru = nn.GRU(3, 5)
optimizer = torch.optim.Adam(gru.parameters(), lr=0.02)
state = torch.zeros(1, 2, 5)
for step in range(10):
    out, state = gru(torch.randn(4, 2, 3), state)
    loss = out.pow(2).mean() + (state - 0.3).abs().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    state = state.detach()
    if step % 3 == 0:
        state = state * (torch.rand(2, 1) > 0.5)
print("gru", repr(loss.item()), state.sum().item())
