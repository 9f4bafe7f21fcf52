"""Which norms, residuals and biases fit together, and whose layers have them."""

from __future__ import annotations

import pytest

from megatron_ext.arguments.problems import ConfigurationError
from megatron_ext.training.configuration import read_configuration

BASE = "--preset tiny --mock-data --vocab-size 100 --train-iters 1".split()
LOCAL = "in the local layers alone; use --transformer-impl local, or auto"


@pytest.mark.parametrize(("line", "said"), [
    ("--deepnorm-alpha 2", "--deepnorm-alpha 2.0: belongs to --norm-placement deepnorm"),
    ("--norm-placement post --apply-residual-connection-post-layernorm", "takes the residual from a norm that"),
    ("--norm-placement sandwich --parallel-residual", "--parallel-residual: is there for --norm-placement pre alone"),
    ("--share-parallel-norm", "--share-parallel-norm: belongs to --parallel-residual"),
    ("--no-norm-bias", "has no effect: rmsnorm has no bias"),
    ("--transformer-impl transformer_engine --norm-placement post", f"--norm-placement post: is there {LOCAL}"),
    ("--transformer-impl transformer_engine --parallel-residual", f"--parallel-residual: is there {LOCAL}"),
    ("--transformer-impl transformer_engine --add-mlp-bias", f"differ from --add-bias-linear {LOCAL}"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(line, said):
    with pytest.raises(ConfigurationError) as error:
        read_configuration([*BASE, *line.split()], 1)
    assert said in str(error.value)
