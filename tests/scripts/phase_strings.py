"""Transfer learning as in the tutorial: for phase in ['train', 'val'], a dict of loaders, set_grad_enabled, deepcopy."""
import copy
import time

import torch
import torch.nn as nn
import torch.optim as optim
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(61)


def make(n):
    x = torch.randn(n, 1, 6, 6)
    return TensorDataset(x, (x.mean((1, 2, 3)) > 0).long())


image_datasets = {"train": make(30), "val": make(16)}
dataloaders = {p: DataLoader(image_datasets[p], batch_size=5, shuffle=True) for p in ["train", "val"]}
dataset_sizes = {p: len(image_datasets[p]) for p in ["train", "val"]}


def train_model(model, criterion, optimizer, scheduler, num_epochs=4):
    since = time.time()
    best_model_wts = copy.deepcopy(model.state_dict())
    best_acc = 0.0
    history = {"train": [], "val": []}
    for epoch in range(num_epochs):
        print("Epoch {}/{}".format(epoch, num_epochs - 1))
        print("-" * 10)
        for phase in ["train", "val"]:
            if phase == "train":
                model.train()
            else:
                model.eval()
            running_loss = 0.0
            running_corrects = 0
            for inputs, labels in dataloaders[phase]:
                optimizer.zero_grad()
                with torch.set_grad_enabled(phase == "train"):
                    outputs = model(inputs)
                    _, preds = torch.max(outputs, 1)
                    loss = criterion(outputs, labels)
                    if phase == "train":
                        loss.backward()
                        optimizer.step()
                running_loss += loss.item() * inputs.size(0)
                running_corrects += torch.sum(preds == labels.data)
            if phase == "train":
                scheduler.step()
            epoch_loss = running_loss / dataset_sizes[phase]
            epoch_acc = running_corrects.double() / dataset_sizes[phase]
            history[phase].append((epoch_loss, epoch_acc.item()))
            print("{} Loss: {!r} Acc: {!r}".format(phase, epoch_loss, epoch_acc.item()))
            if phase == "val" and epoch_acc > best_acc:
                best_acc = epoch_acc
                best_model_wts = copy.deepcopy(model.state_dict())
        print()
    time_elapsed = time.time() - since
    assert time_elapsed > 0
    print("Best val Acc: {!r}".format(float(best_acc)))
    model.load_state_dict(best_model_wts)
    return model, history


model_ft = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2))
for param in model_ft[0].parameters():
    param.requires_grad = False
optimizer_ft = optim.SGD(filter(lambda p: p.requires_grad, model_ft.parameters()), lr=0.02, momentum=0.9)
exp_lr_scheduler = lr_scheduler.StepLR(optimizer_ft, step_size=2, gamma=0.1)
model_ft, history = train_model(model_ft, nn.CrossEntropyLoss(), optimizer_ft, exp_lr_scheduler)
print(history, sum(float(p.sum()) for p in model_ft.parameters()))
