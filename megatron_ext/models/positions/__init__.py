"""Positions, one file each; a file offers `gpt_arguments(flags)`, what megatron-core's GPTModel is told, and where it has them

Embedding(config)               a module from positions `[b, s]` to what is added to the tokens' vectors, `[b, s, h]`
Bias(config, first, heads)      a module from indices of queries and keys to what is added to the scores (attention/blocks.py)
"""
