"""Duplicates: of documents, of what is in them, near and exact."""
