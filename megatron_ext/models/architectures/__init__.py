"""What a model is as a whole, one file each. `--architecture`

A file is light (no torch) and offers

    PATTERNS            the attention patterns that its layers may have; the first is the default
    resolve(c)          fills what was left open, on the flat draft of the configuration
    check(c)            yields the Problems of flags that have no meaning for it
    model()             the class of its models; only this needs torch
"""
