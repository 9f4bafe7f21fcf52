"""Positions, one file each; a file offers `gpt_arguments(flags)`, what megatron-core's GPTModel is told, and where it has them

Embedding(config)               a module from positions `[b, s]` to what is added to the tokens' vectors, `[b, s, h]`
Rotation(config)                from positions `[b, s]`, any for each token, to what `rotate` needs of them, `[s, b, 1, w]`
rotate(x, rotation, key)        queries or keys `[s, b, heads, d]`, turned
Bias(config, first, heads, encoder)   a module; called in each layer, an encoder's or not, it gives what is added to scores, a
                                function of the indices of queries and keys (attention/blocks.py). Where it has parameters, all
                                layers have the same ones, unless `--relative-attention-bias-per-layer` says otherwise.
"""
