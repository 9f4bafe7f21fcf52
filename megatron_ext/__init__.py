"""megatron-ext: pretraining of large language models, the same code on a laptop's CPU and on a cluster's GPUs."""

__version__ = "0.1.0"
