"""Style-transfer like: an image is the parameter, LBFGS with a closure that counts in a list, features of a frozen net."""
import torch
import torch.nn as nn
import torch.optim as optim

torch.manual_seed(3)
features = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1)).eval().requires_grad_(False)


class ContentLoss(nn.Module):
    def __init__(self, target):
        super().__init__()
        self.target = target.detach()

    def forward(self, x):
        self.loss = nn.functional.mse_loss(x, self.target)
        return x


def gram(x):
    f = x.flatten(2).squeeze(0)
    return f @ f.t() / x.numel()


content, style = torch.rand(1, 1, 8, 8), torch.rand(1, 1, 8, 8)
style_gram = gram(features(style))
content_loss = ContentLoss(features(content))
model = nn.Sequential(features, content_loss)
input_img = content.clone().requires_grad_(True)
optimizer = optim.LBFGS([input_img], max_iter=3, history_size=4)

print("Optimizing..")
run = [0]
while run[0] <= 24:

    def closure():
        with torch.no_grad():
            input_img.clamp_(0, 1)
        optimizer.zero_grad()
        out = model(input_img)
        style_score = (gram(out) - style_gram).square().sum() * 1000
        loss = style_score + content_loss.loss
        loss.backward()
        run[0] += 1
        if run[0] % 5 == 0:
            print(f"run {run[0]}: Style Loss : {style_score.item()!r} Content Loss: {content_loss.loss.item()!r}")
        return style_score + content_loss.loss

    optimizer.step(closure)

with torch.no_grad():
    input_img.clamp_(0, 1)
torch.save(input_img.detach(), "image.pt")
print(run, repr(input_img.sum().item()))
