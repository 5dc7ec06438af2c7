"""Translation in the tutorial's way: random pairs, teacher forcing by chance, two optimizers, a folder with a time stamp."""
import datetime
import math
import os
import random
import time

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import optim

SOS, EOS, MAX = 0, 1, 5
stamp = datetime.datetime.now().strftime("%Y%m%d%H%M%S")
folder = os.path.join("logs", f"{stamp}_{int(time.time() * 1e6)}")
os.makedirs(folder)


class EncoderRNN(nn.Module):
    def __init__(self, n, hidden):
        super().__init__()
        self.hidden = hidden
        self.embedding = nn.Embedding(n, hidden)
        self.gru = nn.GRU(hidden, hidden)

    def forward(self, token, hidden):
        return self.gru(self.embedding(token).view(1, 1, -1), hidden)


class DecoderRNN(EncoderRNN):
    def __init__(self, n, hidden):
        super().__init__(n, hidden)
        self.out = nn.Linear(hidden, n)

    def forward(self, token, hidden):
        output, hidden = self.gru(F.relu(self.embedding(token).view(1, 1, -1)), hidden)
        return F.log_softmax(self.out(output[0]), dim=1), hidden


def train(source, target, encoder, decoder, enc_opt, dec_opt, criterion):
    hidden = torch.zeros(1, 1, encoder.hidden)
    enc_opt.zero_grad()
    dec_opt.zero_grad()
    loss = 0
    for ei in range(source.size(0)):
        _, hidden = encoder(source[ei], hidden)
    token = torch.tensor([[SOS]])
    forced = random.random() < 0.5
    for di in range(target.size(0)):
        output, hidden = decoder(token, hidden)
        loss += criterion(output, target[di])
        token = target[di]
        if not forced:
            token = output.topk(1)[1].squeeze().detach()
            if token.item() == EOS:
                break
    loss.backward()
    enc_opt.step()
    dec_opt.step()
    return loss.item() / target.size(0)


def as_minutes(s):
    return "%dm %ds" % (math.floor(s / 60), s % 60)


def train_iters(encoder, decoder, n_iters, print_every=6, plot_every=4):
    start = time.time()
    plot_losses, print_total, plot_total = [], 0, 0
    enc_opt = optim.SGD(encoder.parameters(), lr=0.05)
    dec_opt = optim.SGD(decoder.parameters(), lr=0.05)
    training_pairs = [random.choice(pairs) for i in range(n_iters)]
    criterion = nn.NLLLoss()
    for it in range(1, n_iters + 1):
        source, target = training_pairs[it - 1]
        loss = train(source, target, encoder, decoder, enc_opt, dec_opt, criterion)
        print_total += loss
        plot_total += loss
        if it % print_every == 0:
            print("(%d %d%%) %r" % (it, it / n_iters * 100, print_total / print_every))
            print_total = 0
        if it % plot_every == 0:
            plot_losses.append(plot_total / plot_every)
            plot_total = 0
    assert as_minutes(time.time() - start)
    return plot_losses


random.seed(55)
torch.manual_seed(55)
pairs = []
for _ in range(10):
    words = [random.randint(2, 8) for _ in range(random.randint(2, MAX))]
    pairs.append((torch.tensor([*words, EOS]).view(-1, 1), torch.tensor([*words[::-1], EOS]).view(-1, 1)))
encoder, decoder = EncoderRNN(9, 8), DecoderRNN(9, 8)
losses = train_iters(encoder, decoder, 24)
torch.save({"encoder": encoder.state_dict(), "losses": losses}, os.path.join(folder, "model.pt"))
print(losses, len(os.listdir("logs")))
