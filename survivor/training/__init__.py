"""The child's wing, training: rewriting, loops and their positions, frames, safe points."""
