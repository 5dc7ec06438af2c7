seed = 12
epochs = 3
batch_size = 6
lr = 0.03
