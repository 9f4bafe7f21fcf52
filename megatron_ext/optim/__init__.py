"""How weights are updated: optimizers, learning-rate schedules, and how their state is sharded."""
