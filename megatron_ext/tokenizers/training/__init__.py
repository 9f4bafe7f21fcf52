"""One file an algorithm that learns a tokenizer, each with `train(texts, flags) -> tokenizers.Tokenizer`."""
