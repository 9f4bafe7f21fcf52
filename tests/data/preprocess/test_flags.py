"""What can be said before anything is read."""

import os

import pytest

from megatron_ext.arguments.config import read
from megatron_ext.arguments.problems import ConfigurationError
from megatron_ext.data.preprocess.flags import PreprocessFlags


def test_workers_default_to_the_cores_that_this_process_may_use():
    flags = read([PreprocessFlags], ["--output-prefix", "out/x"], "x", "").output
    assert flags.workers == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "--output-prefix: is missing"),
        (["--output-prefix", "{}"], "is a folder"),
        (["--output-prefix", "x/"], "is a folder"),
        (["--output-prefix", "x", "--json-keys", "a", "a"], "--json-keys a: is given twice"),
        (["--output-prefix", "x", "--json-keys", "a/b"], "cannot be part of a file's name"),
        (["--output-prefix", "x", "--prefix-key", "text"], "--prefix-key text: is one of --json-keys, too"),
        (["--output-prefix", "x", "--prefix-end-token", "[A]"], "--prefix-end-token .*: has no effect without --prefix-key"),
        (["--output-prefix", "x", "--workers", "0"], "must be above 0"),
    ],
)
def test_problems(tmp_path, argv, said):
    with pytest.raises(ConfigurationError, match=said):
        read([PreprocessFlags], [word.format(tmp_path) for word in argv], "x", "")
