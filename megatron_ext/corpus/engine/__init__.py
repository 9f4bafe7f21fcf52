"""Stages over shards: what is done is remembered, what died is done again, and nothing goes missing without a word."""
