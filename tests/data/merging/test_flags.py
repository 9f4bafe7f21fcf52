"""What can be said before anything is read."""

import pytest

from megatron_ext.arguments.config import read
from megatron_ext.arguments.problems import ConfigurationError
from megatron_ext.data.merging.flags import MergeFlags


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "--input: is missing"),
        (["--input", "a"], "--output-prefix: is missing"),
        (["--input", "a", "a", "--output-prefix", "x"], "--input a: is given twice"),
        (["--input", "a", "{}", "--output-prefix", "x"], "is a folder among others"),
        (["--input", "a", "--output-prefix", "{}"], "is a folder"),
    ],
)
def test_problems(tmp_path, argv, said):
    with pytest.raises(ConfigurationError, match=said):
        read([MergeFlags], [word.format(tmp_path) for word in argv], "x", "")
