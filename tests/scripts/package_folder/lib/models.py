from torch import nn, optim


def build(lr, total):
    model = nn.Sequential(nn.Linear(10, 8), nn.LayerNorm(8), nn.GELU(), nn.Dropout(0.1), nn.Linear(8, 2))
    optimizer = optim.SGD(model.parameters(), lr=lr, momentum=0.8)
    scheduler = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=lr * 3, total_steps=total)
    return model, optimizer, scheduler
