"""Text to tokens and back: loading tokenizers of every kind behind one contract, and training new ones."""
