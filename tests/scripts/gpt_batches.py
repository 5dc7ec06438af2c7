"""A character model in the way small GPT trainers do it: get_batch on a memmap, while True, cosine lr by hand."""
import math
import os
import time

import numpy as np
import torch
import torch.nn as nn
from torch.nn import functional as F

out_dir = "out"
eval_interval, eval_iters, max_iters = 6, 3, 20
gradient_accumulation_steps = 2
batch_size, block_size, n_embd, vocab = 4, 8, 16, 12
learning_rate, min_lr, warmup_iters, lr_decay_iters = 1e-2, 1e-3, 4, 20
grad_clip = 1.0
settings = {k: v for k, v in globals().items() if not k.startswith("_") and isinstance(v, (int, float, str))}

os.makedirs(out_dir, exist_ok=True)
torch.manual_seed(1337)
rng = np.random.RandomState(5)
rng.randint(0, vocab, 600).astype(np.uint16).tofile(os.path.join(out_dir, "train.bin"))
rng.randint(0, vocab, 200).astype(np.uint16).tofile(os.path.join(out_dir, "val.bin"))


def get_batch(split):
    data = np.memmap(os.path.join(out_dir, f"{split}.bin"), dtype=np.uint16, mode="r")
    ix = torch.randint(len(data) - block_size, (batch_size,))
    x = torch.stack([torch.from_numpy((data[i : i + block_size]).astype(np.int64)) for i in ix])
    y = torch.stack([torch.from_numpy((data[i + 1 : i + 1 + block_size]).astype(np.int64)) for i in ix])
    return x, y


class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte = nn.Embedding(vocab, n_embd)
        self.wpe = nn.Embedding(block_size, n_embd)
        self.block = nn.TransformerEncoderLayer(n_embd, 2, 32, dropout=0.1, batch_first=True)
        self.lm_head = nn.Linear(n_embd, vocab, bias=False)
        self.lm_head.weight = self.wte.weight

    def forward(self, idx, targets):
        mask = nn.Transformer.generate_square_subsequent_mask(idx.size(1))
        x = self.wte(idx) + self.wpe(torch.arange(idx.size(1)))
        logits = self.lm_head(self.block(x, src_mask=mask))
        return logits, F.cross_entropy(logits.view(-1, vocab), targets.view(-1))


@torch.no_grad()
def estimate_loss():
    out = {}
    model.eval()
    for split in ["train", "val"]:
        losses = torch.zeros(eval_iters)
        for k in range(eval_iters):
            X, Y = get_batch(split)
            losses[k] = model(X, Y)[1].item()
        out[split] = losses.mean()
    model.train()
    return out


def get_lr(it):
    if it < warmup_iters:
        return learning_rate * (it + 1) / (warmup_iters + 1)
    coeff = 0.5 * (1.0 + math.cos(math.pi * (it - warmup_iters) / (lr_decay_iters - warmup_iters)))
    return min_lr + coeff * (learning_rate - min_lr)


iter_num, best_val_loss = 0, 1e9
model = GPT()
decay = [p for p in model.parameters() if p.dim() >= 2]
nodecay = [p for p in model.parameters() if p.dim() < 2]
optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.1}, {"params": nodecay, "weight_decay": 0.0}], lr=learning_rate)

X, Y = get_batch("train")  # fetch the very first batch
t0 = time.time()
local_iter_num = 0
while True:
    lr = get_lr(iter_num)
    for param_group in optimizer.param_groups:
        param_group["lr"] = lr
    if iter_num % eval_interval == 0:
        losses = estimate_loss()
        print(f"step {iter_num}: train loss {losses['train'].item()!r}, val loss {losses['val'].item()!r}")
        if losses["val"] < best_val_loss:
            best_val_loss = losses["val"]
            if iter_num > 0:
                checkpoint = {"model": model.state_dict(), "iter_num": iter_num, "best": best_val_loss, "config": settings}
                torch.save(checkpoint, os.path.join(out_dir, "ckpt.pt"))
    for micro_step in range(gradient_accumulation_steps):
        logits, loss = model(X, Y)
        loss = loss / gradient_accumulation_steps
        X, Y = get_batch("train")  # the next batch, while the model works
        loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), grad_clip)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    dt = time.time() - t0
    t0 += dt
    print(f"iter {iter_num}: loss {loss.item() * gradient_accumulation_steps!r}")
    iter_num += 1
    local_iter_num += 1
    if iter_num > max_iters:
        break
print(best_val_loss.item(), local_iter_num)
