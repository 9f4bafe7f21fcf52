"""How good a tokenizer is, beside others, on texts of several sources: tools/compare_tokenizers.py."""
