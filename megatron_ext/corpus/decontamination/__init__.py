"""Test sets in the corpus: what they are, and where they are found."""
