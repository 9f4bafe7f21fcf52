"""The training loop and what it moves: configuration, layout, state, step, loop."""
