"""What a store tells of its jobs, in words: their state, and what they printed. Read only; never torch."""
