"""The child's wing, state: what a training script holds, read into a graph of nodes and merged back in place."""
