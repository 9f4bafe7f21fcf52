"""Positions, one file each; a file offers `gpt_arguments(flags)`: what megatron-core's GPTModel is told."""
