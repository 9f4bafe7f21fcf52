"""How good a trained model is, and how good a tokenizer."""
