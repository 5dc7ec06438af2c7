# bulk data of the set-up that is neither dense nor an array: sparse tensors, a data frame
import pandas
import torch
import warnings
warnings.filterwarnings('ignore')
w = torch.tensor([0.5, -0.25], requires_grad=True)
def train(x):
    loss = ((w * (x + 1) - 0.5) ** 2).sum()
    loss.backward()
    event("train", x, loss.item())

rows = torch.arange(30000)
graph = torch.sparse_coo_tensor(torch.stack([rows, rows.flip(0)]), torch.rand(30000), (30000, 30000))
joined = graph.coalesce()
csr = joined.to_sparse_csr()
frame = pandas.DataFrame({"a": torch.rand(30000).numpy(), "b": rows.numpy(), "c": [f"n{i}" for i in range(30000)]})
frame.index = torch.randperm(30000).numpy() + 5
column = frame["a"]
x = torch.rand(30000, 1)
held = {"again": graph}
for epoch in range(2):
    for step in range(2):
        x = (graph @ x + joined @ x + csr @ x) / 3
        train(x.mean().item() + float(frame["a"].iloc[step]) + float(column.iloc[epoch]))
    event(held["again"] is graph, graph.is_coalesced(), joined.is_coalesced(), len(frame))
