"""A notebook that is killed and run again gives what the plain notebook gives, with the real engine."""

import pytest

CELLS = [
    "import random, sys, time\nimport torch\nfrom survivor import survivable",
    "torch.manual_seed(3)\nrandom.seed(3)\ndata = torch.randn(64, 5)\ntarget = data.sum(1, keepdim=True)",
    "class Net(torch.nn.Module):\n"
    "    def __init__(self):\n"
    "        super().__init__()\n"
    "        self.body = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Dropout(0.2), torch.nn.Linear(8, 1))\n"
    "    def forward(self, x):\n"
    "        return self.body(x)\n"
    "class Meter:\n"
    "    def __init__(self):\n"
    "        self.losses = []\n",
    "def batches():\n"
    "    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(data, target), 8, shuffle=True)\n"
    "def one_step(net, optimizer, x, y, meter):\n"
    "    loss = torch.nn.functional.mse_loss(net(x + random.random()), y)\n"
    "    optimizer.zero_grad()\n"
    "    loss.backward()\n"
    "    optimizer.step()\n"
    "    meter.losses.append(loss.item())\n",
]
FUNCTION = (
    "{decorator}\n"
    "def train(epochs, pause=0.0):\n"
    "    net, meter = Net(), Meter()\n"
    "    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)\n"
    "    for epoch in range(epochs):\n"
    "        for x, y in batches():\n"
    "            one_step(net, optimizer, x, y, meter)\n"
    "            time.sleep(pause)\n"
    "        print('epoch', epoch, sum(meter.losses[-8:]), flush=True)\n"
    "    return net, meter\n"
)
CALL = "net, meter = train(6)"
END = (
    "import hashlib\n"
    "text = repr([p.tolist() for p in net.parameters()]) + repr(meter.losses) + repr(torch.rand(2).tolist())\n"
    "print(hashlib.sha256((text + repr(random.random())).encode()).hexdigest(), type(meter) is Meter, net.training)"
)
CELL = (
    "net, meter = Net(), Meter()\n"
    "optimizer = torch.optim.Adam(net.parameters(), lr=0.01)\n"
    "for epoch in range(6):\n"
    "    for x, y in batches():\n"
    "        one_step(net, optimizer, x, y, meter)\n"
    "        {pause}\n"
    "    print('epoch', epoch, sum(meter.losses[-8:]), flush=True)\n"
)


def run_all(kernel, *cells):
    done = [kernel.run(cell) for cell in cells]
    assert not any(cell.error for cell in done), [cell.error for cell in done]
    return done


@pytest.mark.parametrize("way", ["decorator", "magic"])
def test_a_notebook_whose_kernel_is_killed_equals_the_plain_one(kernels, way):
    if way == "decorator":
        plain_cells = [*CELLS, FUNCTION.format(decorator=""), CALL]
        cells = [*CELLS, FUNCTION.format(decorator="@survivable(every=0)"), CALL]
    else:
        plain_cells = [*CELLS, CELL.format(pause="pass")]
        cells = [*CELLS, "%load_ext survivor", "%%survivable train --every 0\n" + CELL.format(pause="pass")]
    plain = kernels()
    *_, trained, end = run_all(plain, *plain_cells, END)
    plain.close()

    first = kernels()
    run_all(first, *cells[:-1])
    # two epochs' lines have come: the process may be anywhere behind them
    first.begin(cells[-1]).until(lambda cell: cell.out.count("epoch") >= 2)
    first.kill()

    second = kernels()
    run_all(second, *cells[:-1])
    again = second.begin(cells[-1]).until(lambda cell: "epoch 3" in cell.out or cell.done)
    second.interrupt()
    assert any("continuing at" in text for text in again.wait().shown)
    *_, last, last_end = run_all(second, cells[-1], END)
    assert last_end.out == end.out
    assert trained.out.endswith(last.out) or not last.out
