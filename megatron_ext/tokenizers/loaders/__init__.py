"""One file a kind of tokenizer file, each with `load(flags) -> Tokenizer`."""
