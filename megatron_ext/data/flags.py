"""Flags of the training data (Megatron-LM's names)."""

from __future__ import annotations

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem


@flag_group("data", "Training data")
class DataFlags:
    data_path: str | None = flag(None, "prefix of the .bin/.idx pair that tools/preprocess_data.py wrote", front=True)
    valid_data_path: str | None = flag(None, "prefix of a validation set of its own; data-path is then all for training")
    split: str = flag("969,30,1", "shares of the documents for training, validation and test")
    mock_data: bool = flag(
        False, "train on made-up arithmetic sequences, to try a layout or a speed; 8,192 ids if no tokenizer is given"
    )

    @staticmethod
    def resolve(c):
        if c.mock_data and c.tokenizer_model is None and c.vocab_file is None and c.vocab_size is None:
            c.vocab_size = 8192

    @staticmethod
    def check(c):
        if c.data_path is None and not c.mock_data:
            yield Problem("--data-path", None, "is missing", "give the prefix of a .bin/.idx pair, or --mock-data")
        if c.data_path is not None and c.mock_data:
            yield Problem("--mock-data", None, f"contradicts --data-path {c.data_path}", "give one of the two")
        if c.valid_data_path is not None and c.mock_data:
            yield Problem("--valid-data-path", c.valid_data_path, "has no effect with --mock-data", "leave it out")
        try:
            shares = split_shares(c.split)
        except ValueError:
            yield Problem("--split", c.split, "is not a list of shares", "write for example 969,30,1")
        else:
            if len(shares) > 3 or min(shares) < 0 or shares[0] <= 0:
                yield Problem("--split", c.split, "must be up to three shares, the first above 0", "write for example 969,30,1")


def split_shares(split: str) -> list[float]:
    """`"969,30,1"` → [969.0, 30.0, 1.0]."""
    return [float(share) for share in split.replace("/", ",").split(",")]
