#!/usr/bin/env python3
"""Says what a training run needs of its machines, and whether this node has the GPUs; reads no data and no tokenizer.

python tools/requirements.py --processes 16 --gpus-here 8 --preset llama-7b --mock-data --vocab-size 32000 --bf16

After --processes and --gpus-here come the flags of pretrain_gpt.py, which are checked as it would check them. Exit status 1
where the GPUs are missing, 2 for a wrong flag.
"""

from __future__ import annotations

import argparse
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Sequence

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from megatron_ext.arguments.problems import ConfigurationError, report
from megatron_ext.planner.memory import state_bytes
from megatron_ext.planner.parameters import count
from megatron_ext.training.configuration import read_configuration


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--processes", type=int, required=True, help="of the whole run, one a GPU")
    parser.add_argument("--gpus-here", type=int, required=True, help="GPUs that this node should have")
    own, flags = parser.parse_known_args(argv)
    try:
        config = read_configuration(flags, own.processes)
    except ConfigurationError as error:
        report(error, "requirements.py")
        return 2
    print(needs(config))
    found = gpus_here()
    if config.parallel.device == "cpu" or found >= own.gpus_here:
        return 0
    print(f"This node has {found} GPU(s), and the run takes {own.gpus_here} of each node.", file=sys.stderr)
    return 1


def needs(config) -> str:
    """What a run takes, in a sentence."""
    parameters = count(config.model, config.tokenizer.vocab_size).total
    parallel = config.parallel
    tensor, stages = parallel.tensor_model_parallel_size, parallel.pipeline_model_parallel_size
    return (
        f"{parameters:,} parameters on {config.world_size} process(es) as TP{tensor}·PP{stages}·"
        f"DP{config.world_size // (tensor * stages)}, ZeRO-{config.optimizer.zero_stage}: weights, gradients and Adam take "
        f"{state_bytes(config, parameters) / 1e9:.3g} GB on each, activations come on top."
    )


def gpus_here() -> int:
    """GPUs that NVIDIA's driver shows on this node."""
    if not shutil.which("nvidia-smi"):
        return 0
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True)
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
