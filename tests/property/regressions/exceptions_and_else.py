# loops left by exceptions, continued, broken, ended
import torch
w = torch.tensor([0.5, -0.25], requires_grad=True)
def train(x):
    loss = ((w * (x + 1) - 0.5) ** 2).sum()
    loss.backward()
    event("train", x, loss.item())

def run():
    n = 0
    while True:
        n += 1
        try:
            for k in range(3):
                train(k)
                if n == 2 and k == 1:
                    raise KeyError(n)
                if n == 4:
                    raise ValueError(n)
        except KeyError as error:
            event("key", str(error))
            continue
        except ValueError:
            break
        finally:
            event("finally", n)
        for a in range(2):
            if a == n - 1:
                train(a)
                break
        else:
            event("else", n)
    return n
event(run())
