"""Each preset has the published number of parameters, in the model itself (on the meta device) and in closed form."""

from __future__ import annotations

import math
import re
from unittest import mock

import pytest

from megatron_ext.arguments.config import PRESETS
from megatron_ext.arguments.flags import flags_of
from megatron_ext.planner.parameters import count
from megatron_ext.training import batch_size
from megatron_ext.training.configuration import GROUPS, read_configuration
from tests.models.presets.published import CODE, PUBLISHED, WEIGHTS

MODELS = [name for name in PRESETS if name != "tiny"]
FLAGS = {flag.name: flag for group in GROUPS for flag in flags_of(group)}
PER_STAGE = 5e9  # parameters of a process, at most: 30 GB of weights and gradients, the rest shared by ZeRO-1


def configuration(name: str, world_size: int = 1, argv: str = "--make-vocab-size-divisible-by 1"):
    run = f"--preset {name} --mock-data --tokenizer-type null --vocab-size {PUBLISHED[name].vocab_size} {argv}"
    length = [] if "train_tokens" in PRESETS.entry(name) else ["--train-iters", "1000"]
    return read_configuration([*run.split(), *length], world_size)


def counted(launch, names: list[str]) -> dict[str, int]:
    """Parameters of the whole models, of which none takes memory."""
    from megatron_ext.models import gpt
    from megatron_ext.models.config import model_config
    from megatron_ext.training.layout import processes

    found = {}
    with processes(launch, configuration(names[0])):
        import torch

        meta = torch.device("meta")
        # megatron-core asks torch.cuda where to put what it makes, torch's own layers ask the default device.
        with mock.patch.object(torch.cuda, "current_device", lambda: meta), meta:
            for name in names:
                config = configuration(name)
                core = model_config(config, PUBLISHED[name].vocab_size, "local")
                (model,) = gpt.build(config.model, core, seed=None)
                parameters = list(model.parameters())
                assert all(parameter.is_meta for parameter in parameters)
                found[name] = sum(parameter.numel() for parameter in parameters)
    return found


@pytest.fixture(scope="module")
def in_the_model(pool):
    return pool.run(counted, 1, MODELS, timeout=300)[0]


def test_each_preset_was_published():
    assert PUBLISHED.keys() == set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_it_has_the_published_number_of_parameters(name, in_the_model):
    published = PUBLISHED[name]
    assert in_the_model[name] == pytest.approx(published.parameters, rel=0.01)
    assert in_the_model[name] == count(configuration(name).model, published.vocab_size).total
    if published.source in (WEIGHTS, CODE):
        assert in_the_model[name] == published.parameters


@pytest.mark.parametrize("name", MODELS)
def test_a_cluster_can_train_it(name):
    """The flags agree with each other and with a layout that holds the model, its batch among the processes."""
    model = configuration(name).model
    tensor = math.gcd(8, model.num_query_groups)
    expert = math.gcd(8, model.num_experts or 1)
    of_a_stage = count(model, PUBLISHED[name].vocab_size).total / (tensor * expert)
    stages = next(n for n in range(1, model.num_layers + 1) if model.num_layers % n == 0 and of_a_stage / n <= PER_STAGE)
    data = max(8, expert)
    argv = f"--bf16 --zero-stage 1 --tensor-model-parallel-size {tensor} --pipeline-model-parallel-size {stages} --device cuda"
    argv += " --sequence-parallel" * (tensor > 1)
    argv += f" --expert-model-parallel-size {expert} --expert-tensor-parallel-size 1" * (model.num_experts is not None)
    config = configuration(name, tensor * stages * data, argv)
    assert config.training.global_batch_size % data == 0
    assert {key: config.flat()[key] for key in PRESETS.entry(name)} == PRESETS.entry(name)


@pytest.mark.parametrize("name", PRESETS.names())
def test_its_fields_are_flags_with_values_of_their_type(name):
    """They come into the configuration as they are."""
    for field, value in PRESETS.entry(name).items():
        converted = FLAGS[field].convert(value)
        assert (converted, type(converted)) == (value, FLAGS[field].kind if not FLAGS[field].many else tuple), field


GROWING = {"gpt3_125m": 16, "gpt3_175b": 16, "bloom_176b": 192, "glm_130b": 192, "llama3_405b": 1024, "deepseek_v3_671b": 3072}


@pytest.mark.parametrize("name", GROWING)
def test_its_batch_grows_by_the_flags_that_its_file_gives(name):
    line = re.search(r"`(--rampup-batch-size [^`]+)`", PRESETS.load(name).__doc__).group(1)
    config = configuration(name, 1, line)
    assert batch_size.sizes(config.training)[0] == GROWING[name]
    assert batch_size.sizes(config.training)[-1] == PRESETS.entry(name)["global_batch_size"]


def test_learning_rates_and_batches_are_the_papers():
    """Of the families whose papers have a table of them: tokens of a batch in millions, peak rate, updates of warm-up."""
    of = {name: configuration(name) for name in ("gpt3_2.7b", "gpt3_13b", "llama_65b", "llama2_70b", "falcon_40b", "olmo2_13b")}
    found = {
        name: (
            round(config.training.global_batch_size * config.model.seq_length / 1e6, 1),
            config.optimizer.lr,
            config.optimizer.lr_warmup_iters,
            round(config.optimizer.min_lr / config.optimizer.lr, 6),
        )
        for name, config in of.items()
    }
    assert found == {
        "gpt3_2.7b": (1.0, 1.6e-4, 358, 0.1),
        "gpt3_13b": (2.1, 1e-4, 179, 0.1),
        "llama_65b": (4.2, 1.5e-4, 2000, 0.1),
        "llama2_70b": (4.2, 1.5e-4, 2000, 0.1),
        "falcon_40b": (2.4, 1.85e-4, 1695, 0.1),
        "olmo2_13b": (8.4, 9e-4, 2000, 0.1),
    }
