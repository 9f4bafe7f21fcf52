"""Checkpoints: whole or not at all, by global name, so that any layout reads what any other wrote."""
