"""Who sees whom in an encoder-decoder, the order in which tensor-parallel processes share it, and what has no meaning for it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from megatron_ext.arguments.problems import ConfigurationError
from megatron_ext.models.encoder_decoder import EncoderDecoder
from megatron_ext.training.configuration import read_configuration

BASE = (
    "--architecture encoder-decoder --encoder-num-layers 2 --decoder-num-layers 2 --hidden-size 32 --num-attention-heads 4 "
    "--mock-data --vocab-size 100 --train-iters 1 --device cpu --encoder-seq-length 7 --decoder-seq-length 6"
)
DOCUMENTS = torch.tensor([0, 0, 0, 1, 1, 1, -1]), torch.tensor([0, 0, 1, 1, 1, 2])
POSITIONS = "rope", "alibi", "t5_bias", "learned_absolute", "sinusoidal", "none"


def changed(launch, line: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Which of the decoder's logits change `[s', token]` with each token of the encoder, and with each of the decoder."""
    config = read_configuration([*BASE.split(), *line.split()], launch.world_size)
    from megatron_ext.training.layout import processes

    with processes(launch, config), torch.no_grad():
        from megatron_ext.models import gpt
        from megatron_ext.models.config import model_config

        (model,) = gpt.build(config.model, model_config(config, 100, "local"), seed=1)
        for parameter in model.eval().parameters():
            parameter.mul_(5 if parameter.dim() > 1 else 1)  # so that what is seen shows
        ids = [torch.randint(100, (len(own),), generator=torch.Generator().manual_seed(0)) for own in DOCUMENTS]
        found = []
        for half, own in enumerate(DOCUMENTS):
            rows = [part.repeat(len(own) + 1, 1) for part in ids]
            rows[half][range(1, len(own) + 1), range(len(own))] = (ids[half] + 50) % 100  # row j + 1 differs in token j
            batch = {"labels": None}
            for prefix, row, documents in zip(("", "decoder_"), rows, DOCUMENTS):
                places = torch.arange(len(documents)).expand_as(row)
                batch |= {
                    f"{prefix}input_ids": row,
                    f"{prefix}position_ids": places,
                    f"{prefix}documents": documents.expand_as(row),
                }
            logits = model(**EncoderDecoder.arguments(batch, model.config)[1])
            found.append(((logits[1:] - logits[:1]).abs().amax(-1) > 1e-4).T)
        return tuple(found)


@pytest.mark.parametrize("position", POSITIONS)
def test_a_token_sees_its_document_in_the_encoder_and_what_is_before_it_in_the_decoder(position, pool):
    (across, before), (encoder, decoder) = pool.run(changed, 1, f"--position-embedding-type {position}")[0], DOCUMENTS
    assert torch.equal(across, decoder[:, None] == encoder[None])
    index = torch.arange(len(decoder))
    assert torch.equal(before, (decoder[:, None] == decoder[None]) & (index[None] <= index[:, None]))


def test_each_process_gets_its_share_of_both_stretches():
    """megatron-core cuts what is embedded into even parts, one for each process."""
    encoder, decoder = torch.arange(8)[None], 100 + torch.arange(4)[None]
    for processes, parallel in ((1, False), (2, False), (2, True), (4, True)):
        config = SimpleNamespace(tensor_model_parallel_size=processes, sequence_parallel=parallel)
        found = EncoderDecoder._in_order(SimpleNamespace(config=config), (encoder, decoder))[0]
        parts = found.chunk(processes if parallel else 1)
        assert torch.cat([part[part < 100] for part in parts]).equal(encoder[0])
        assert torch.cat([part[part >= 100] for part in parts]).equal(decoder[0])
        assert {len(part[part < 100]) for part in parts} == {8 // len(parts)}


@pytest.mark.parametrize(("line", "said"), [
    ("--context-parallel-size 2", "--context-parallel-size 2: shares the tokens of one stretch"),
    ("--num-experts 4", "--num-experts 4: are there in one stack of layers alone"),
    ("--mtp-num-layers 1", "--mtp-num-layers 1: are there behind one stack of layers alone"),
    ("--position-embedding-type xpos", "xpos: are positions of tokens that see those before them alone"),
    ("--position-embedding-type transformer_xl", "transformer_xl: are positions of tokens"),
    ("--parallel-residual", "--parallel-residual: has no place for a decoder's attention to the encoder"),
    ("--multi-latent-attention", "--multi-latent-attention: has no attention from a decoder to an encoder"),
    ("--decoder-seq-length 9 --max-position-embeddings 8", "--max-position-embeddings 8: is below --decoder-seq-length 9"),
    ("--bert-binary-head", "--bert-binary-head: belongs to --architecture encoder"),
])  # fmt: skip
def test_what_it_has_not_is_refused_by_name(line, said):
    with pytest.raises(ConfigurationError) as error:
        read_configuration([*BASE.split(), *line.split()], 2 if "context" in line else 1)
    assert said in str(error.value)


def test_sequence_parallelism_cuts_both_stretches():
    with pytest.raises(ConfigurationError) as error:
        read_configuration([*BASE.split(), *"--tensor-model-parallel-size 2 --sequence-parallel".split()], 2)
    assert "--encoder-seq-length 7: is not a multiple of --tensor-model-parallel-size 2" in str(error.value)
    assert "--decoder-seq-length 6" not in str(error.value)
