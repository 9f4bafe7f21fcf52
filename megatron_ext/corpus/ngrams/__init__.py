"""Language models of n-grams: counted and smoothed here, read by kenlm, asked by `--filters perplexity`."""
