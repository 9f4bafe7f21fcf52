"""Who sees whom, one file each: a function of two tokens' indices in a sample, and of what is a prefix. `--attention-pattern`

A file offers

    visible(query, key, limits, prefix)       True where a query may look at a key; indices as tensors that broadcast
    reach(first, last, keys, limits, prefix)  the keys [from, to) that queries first … last may look at, those within or not

where `limits` are the pattern's sizes (`tokens.Limits`) and `prefix` says which keys belong to one,
`[b, keys]` or what broadcasts like `key` (None: none). Documents that are packed into a sample are no pattern: they cut any of
these (`tokens.py`).
"""
