"""How gradients, weights and optimizer state are spread over data-parallel processes; `--zero-stage N` is `zero_N.py`.

`contract.py` is the one interface that training and checkpoints know: synchronise, measure, clip, update, and hand over
the state by global name and offset. Clipping, tied embeddings and checkpoints are written once, above it.
"""
