"""One file an algorithm that learns a tokenizer.

Each has `train(texts, flags) -> dict[str, bytes]`, the files of the tokenizer's folder by name; `texts` may be gone through more
than once. `MODEL` is the name of the file that is loaded, and `FLAGS` names those of `OF_SOME_ALGORITHMS` (flags.py) that the
algorithm takes.
"""
