"""What a model is trained to do, one file each: the batch's transform and its loss together.

A file offers `batch(tokens)`, from a micro-batch of samples to what the model takes, and `loss(per_token, batch)`.
"""
