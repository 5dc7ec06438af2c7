"""A small GAN: two optimizers, label smoothing drawn from NumPy, fixed noise, images saved per epoch."""
import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

manual_seed = 999
np.random.seed(manual_seed)
torch.manual_seed(manual_seed)
nz, batch_size, num_epochs = 4, 8, 3


def weights_init(m):
    if isinstance(m, nn.Linear):
        nn.init.normal_(m.weight, 0.0, 0.2)


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(nn.Linear(nz, 16), nn.BatchNorm1d(16), nn.ReLU(True), nn.Linear(16, 6), nn.Tanh())

    def forward(self, z):
        return self.main(z)


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(nn.Linear(6, 16), nn.LeakyReLU(0.2), nn.Dropout(0.1), nn.Linear(16, 1), nn.Sigmoid())

    def forward(self, x):
        return self.main(x)


real_data = torch.tensor(np.tanh(np.random.normal(0.5, 0.3, (48, 6))), dtype=torch.float32)
dataloader = DataLoader(TensorDataset(real_data), batch_size=batch_size, shuffle=True)
netG, netD = Generator().apply(weights_init), Discriminator().apply(weights_init)
criterion = nn.BCELoss()
fixed_noise = torch.randn(5, nz)
optimizerD = torch.optim.Adam(netD.parameters(), lr=2e-3, betas=(0.5, 0.999))
optimizerG = torch.optim.Adam(netG.parameters(), lr=2e-3, betas=(0.5, 0.999))

img_list, G_losses, D_losses = [], [], []
iters = 0
print("Starting Training Loop...")
for epoch in range(num_epochs):
    for i, data in enumerate(dataloader, 0):
        netD.zero_grad()
        real = data[0]
        b_size = real.size(0)
        label = torch.full((b_size,), 1.0 - 0.1 * np.random.rand(), dtype=torch.float)
        errD_real = criterion(netD(real).view(-1), label)
        errD_real.backward()
        D_x = errD_real.item()

        noise = torch.randn(b_size, nz)
        fake = netG(noise)
        label.fill_(0.0)
        errD_fake = criterion(netD(fake.detach()).view(-1), label)
        errD_fake.backward()
        errD = errD_real + errD_fake
        optimizerD.step()

        netG.zero_grad()
        label.fill_(1.0)
        errG = criterion(netD(fake).view(-1), label)
        errG.backward()
        optimizerG.step()

        if i % 3 == 0:
            print(f"[{epoch}/{num_epochs}][{i}] Loss_D: {errD.item()!r} Loss_G: {errG.item()!r} D(x): {D_x!r}")
        G_losses.append(errG.item())
        D_losses.append(errD.item())
        if (iters % 5 == 0) or ((epoch == num_epochs - 1) and (i == len(dataloader) - 1)):
            with torch.no_grad():
                img_list.append(netG(fixed_noise).detach().cpu())
        iters += 1
    torch.save(netG.state_dict(), f"netG_{epoch}.pth")

print(len(img_list), float(torch.stack(img_list).sum()), sum(G_losses), sum(D_losses))
