"""Norms, one file each; a file offers `Norm(config, hidden_size, eps)` and `MEGATRON_NAME`, what megatron-core calls it."""
