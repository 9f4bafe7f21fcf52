"""Documents that are packed into a sample and reset give what each of them gives alone."""

from __future__ import annotations

import pytest
import torch

EOD, LENGTHS = 7, (5, 1, 9, 3, 6)
POSITIONS = {
    "rope": ["--position-embedding-type", "rope"],
    "learned_absolute": ["--position-embedding-type", "learned_absolute"],
    "none": ["--position-embedding-type", "none"],
    "sinusoidal": ["--position-embedding-type", "sinusoidal"],
    "transformer_xl": ["--position-embedding-type", "transformer_xl", "--segment-length", "4", "--memory-length", "3"],
    "alibi": ["--position-embedding-type", "alibi"],
    "xpos": ["--position-embedding-type", "xpos", "--xpos-scale-base", "4"],
    "t5_bias": [
        "--position-embedding-type",
        "t5_bias",
        "--relative-attention-num-buckets",
        "4",
        "--relative-attention-max-distance",
        "6",
        "--init-method-std",
        "0.3",
    ],
}


def packed_and_alone(launch, argv):
    """Logits of a packed sample in one pass `[s, v]`, and of its documents one by one, put together."""
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    base = "--preset tiny --mock-data --vocab-size 100 --train-iters 1 --device cpu --seq-length 24".split()
    config = read_configuration([*base, *argv], launch.world_size)
    with processes(launch, config):
        from megatron_ext.models import gpt
        from megatron_ext.models.attention.tokens import Tokens
        from megatron_ext.models.config import model_config
        from megatron_ext.objectives import Reading, causal_lm

        model = gpt.build(config.model, model_config(config, 100, "local"), seed=1)[0].eval()
        generator = torch.Generator().manual_seed(0)
        texts = [torch.randint(8, 100, (length,), generator=generator) for length in LENGTHS]
        for text in texts[:-1]:
            text[-1] = EOD
        flags = config.model
        reading = Reading(EOD, flags.reset_position_ids, flags.reset_attention_mask)

        def logits(tokens):
            batch = causal_lm.batch(torch.cat([tokens, tokens[-1:]])[None], reading)
            documents = batch.get("documents")
            block = {"attention_bias": None if documents is None else Tokens.whole(len(tokens), "cpu", documents)}
            with torch.no_grad():
                return model(batch["input_ids"], batch["position_ids"], None, extra_block_kwargs=block)[0]

        return logits(torch.cat(texts)), torch.cat([logits(text) for text in texts])


RESET = ["--reset-position-ids", "--reset-attention-mask"]


PATTERNS = {"causal": [], "windows": ["--attention-pattern", "sliding_window", "causal", "--sliding-window", "4"]}
CASES = [
    (position, pattern) for position in POSITIONS for pattern in PATTERNS if (position, pattern) != ("transformer_xl", "windows")
]


@pytest.mark.compares("each document in a pass of its own", within="1e-5", reset_position_ids=True, reset_attention_mask=True)
@pytest.mark.parametrize(("position", "pattern"), CASES)
def test_packed_documents_are_as_alone(position, pattern, pool):
    ((packed, alone),) = pool.run(packed_and_alone, 1, [*POSITIONS[position], *PATTERNS[pattern], *RESET])
    torch.testing.assert_close(packed, alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("flags", [RESET[:1], RESET[1:]], ids=["positions alone", "mask alone"])
def test_each_flag_has_its_part(flags, pool):
    ((packed, alone),) = pool.run(packed_and_alone, 1, [*POSITIONS["learned_absolute"], *flags])
    assert (packed[LENGTHS[0] :] - alone[LENGTHS[0] :]).abs().max() > 1e-3
    torch.testing.assert_close(packed[: LENGTHS[0]], alone[: LENGTHS[0]], rtol=1e-5, atol=1e-5)


def test_rotary_positions_are_those_of_the_documents(pool):
    """Within a document only differences count; across documents, which the mask here leaves open, the angles show."""
    ((packed, _),) = pool.run(packed_and_alone, 1, [*POSITIONS["rope"], *RESET[:1]])
    ((straight, _),) = pool.run(packed_and_alone, 1, POSITIONS["rope"])
    assert (packed[LENGTHS[0] :] - straight[LENGTHS[0] :]).abs().max() > 1e-3
