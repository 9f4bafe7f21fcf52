"""Flags of the training data (Megatron-LM's names, where it has them)."""

from __future__ import annotations

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem
from megatron_ext.data.paths import parse, split_shares

BLENDS = ("data_path", "train_data_path", "valid_data_path", "test_data_path")
SOURCES = ("data_path", "data_args_path", "train_data_path")  # each alone says what is trained on


@flag_group("data", "Training data")
class DataFlags:
    data_path: tuple[str, ...] | None = flag(
        None, "prefix of the .bin/.idx pair that tools/preprocess_data.py wrote; or several: A B, or 0.7 A 0.3 B", front=True
    )
    data_args_path: str | None = flag(None, "a file with what would follow --data-path")
    split: str = flag(
        "969,30,1", "shares of each pair's documents for training, validation and test; no test if its share is below a sample"
    )
    train_data_path: tuple[str, ...] | None = flag(None, "as --data-path, all of it for training")
    valid_data_path: tuple[str, ...] | None = flag(None, "validation data of its own; --data-path is then all for training")
    test_data_path: tuple[str, ...] | None = flag(None, "test data of its own, evaluated at the end; the same holds")
    multiple_validation_sets: bool = flag(False, "show each validation (and test) set by its name, not only all together")
    full_validation: bool = flag(False, "read validation and test sets whole, each token once, instead of --eval-iters")
    data_cache_path: str | None = flag(
        None, "folder for the drawn order of data sets of 65,536 documents and more [hidden, beside the data]"
    )
    shared_storage: bool = flag(
        True, "all nodes read the same files; else each node's first process checks that its own are the same"
    )
    mmap_bin_files: bool = flag(False, "map .bin files into memory: no quicker, and a file cut off meanwhile kills the run")
    num_workers: int = flag(2, "threads that read samples ahead; 0 reads them when they are needed", least=0)
    accept_changed_data: bool = flag(False, "go on with a run though its training data has changed")
    mock_data: bool = flag(
        False, "train on made-up arithmetic sequences, to try a layout or a speed; 8,192 ids if no tokenizer is given"
    )

    @staticmethod
    def resolve(c):
        named = getattr(c, "tokenizer_model", None) or getattr(c, "vocab_file", None)
        if c.mock_data and hasattr(c, "vocab_size") and not named and c.vocab_size is None:
            c.vocab_size = 8192

    @staticmethod
    def check(c):
        yield from _check_sources(c)
        yield from _check_blends(c)
        yield from _check_split(c)


@flag_group("sample", "How much of it is taken")
class SampleFlags:
    """What is looked at of what `InputFlags` name (data/sampling.py)."""

    json_key: str = flag("text", "where the text lies in a record", front=True)
    weights: tuple[float, ...] = flag(
        (), "one for each --input: its share of the sample, by bytes (default: as they come)", positive=True, front=True
    )
    sample_megabytes: float | None = flag(
        None, "size of the sample (default: all of the text; with --weights as much as repeats no source)", positive=True
    )
    seed: int = flag(1234, "gives the documents of the sample", least=0, most=2**62)

    @staticmethod
    def check(c):
        if c.weights and len(c.weights) != len(c.input):
            yield Problem("--weights", len(c.weights), f"are not as many as --input names, {len(c.input)}", "give one for each")


def option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _check_sources(c):
    given = [name for name in SOURCES if getattr(c, name) is not None]
    if c.mock_data:
        for name in (*SOURCES, "valid_data_path", "test_data_path"):
            if getattr(c, name) is not None:
                yield Problem("--mock-data", None, f"contradicts {option(name)}", "give one of the two")
        if c.full_validation:
            yield Problem("--full-validation", None, "has no meaning for --mock-data, which has no end", "leave it out")
        needless = ["mmap_bin_files", "multiple_validation_sets"]
        if not getattr(c, "megatron_defaults", False):  # Megatron-LM's own LLaMA script names a cache beside --mock-data
            needless.append("data_cache_path")
        for name in (name for name in needless if getattr(c, name)):
            value = None if getattr(c, name) is True else getattr(c, name)
            yield Problem(option(name), value, "has no meaning for --mock-data, which reads no files", "leave it out")
    elif not given:
        yield Problem("--data-path", None, "is missing", "give the prefix of a .bin/.idx pair, or --mock-data")
    elif len(given) > 1:
        yield Problem(" and ".join(map(option, given)), None, "contradict each other", "give one")


def _check_blends(c):
    for name in BLENDS:
        words = getattr(c, name)
        if words is None:
            continue
        try:
            weighted = parse(words)[0].weight is not None
        except ValueError as error:
            yield Problem(option(name), None, str(error))
            continue
        if name in ("valid_data_path", "test_data_path") and weighted and len(words) > 2:
            for needless in ("full_validation", "multiple_validation_sets"):
                if getattr(c, needless):
                    yield Problem(option(name), None, f"has weights, which {option(needless)} does not use", "leave them out")


def _check_split(c):
    try:
        shares = split_shares(c.split)
    except ValueError:
        yield Problem("--split", c.split, "is not a list of shares", "write for example 969,30,1")
        return
    if len(shares) > 3 or not all(0 <= share < float("inf") for share in shares) or shares[0] <= 0:
        yield Problem("--split", c.split, "must be up to three shares, the first above 0", "write for example 969,30,1")
    whole = [name for name in ("train_data_path", "valid_data_path", "test_data_path") if getattr(c, name) is not None]
    if "split" in c.typed and whole:
        yield Problem("--split", c.split, f"has no effect with {option(whole[0])}", "leave one of the two out")
