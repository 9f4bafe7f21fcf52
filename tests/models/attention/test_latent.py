"""Multi-head latent attention against the paper's formulas, written out head by head; what it keeps, gathers and refuses."""

from __future__ import annotations

import math

import pytest
import torch

from megatron_ext.arguments.problems import ConfigurationError
from megatron_ext.models.attention.tokens import Tokens, positions_of
from megatron_ext.training.configuration import read_configuration

HEADS, RANK, PLAIN, ROTATED, LENGTH = 4, 20, 10, 6, 21
BASE = (
    f"--preset tiny --num-layers 2 --num-query-groups {HEADS} --mock-data --vocab-size 100 --train-iters 1 --device cpu "
    f"--seq-length {LENGTH} --multi-latent-attention --kv-lora-rank {RANK} --qk-head-dim {PLAIN} --qk-pos-emb-head-dim {ROTATED}"
)
DOCUMENTS = torch.tensor([[0] * 2 + [1] * 13 + [2] * 6, [0] * LENGTH])
SIZES = dict.fromkeys(("q_lora_rank", "kv_lora_rank", "qk_head_dim", "qk_pos_emb_head_dim", "v_head_dim"), True)
CASES = {
    "values narrower than keys": "--v-head-dim 7",
    "values wider than keys": "--v-head-dim 19 --q-lora-rank 24",
    "neighbours rotated": "--rotary-interleaved --q-lora-rank 24 --rotary-base 50",
    "not rotated, scaled": "--position-embedding-type none --softmax-scale 0.7",
    "biased": "--position-embedding-type alibi --v-head-dim 7",
    "window, capped": "--attention-pattern sliding_window --sliding-window 4 --attn-logit-softcapping 0.5 --q-lora-rank 24",
    "layernorm, output's bias": "--normalization layernorm --q-lora-rank 24 --add-attention-output-bias",
}


def rotated(x, position, config):
    """RoPE of `[d]` at a position, pair by pair."""
    found = x.clone()
    for pair in range(ROTATED // 2):
        angle = position * config.base ** (-2 * pair / ROTATED)
        one, two = (2 * pair, 2 * pair + 1) if config.rotary_interleaved else (pair, pair + ROTATED // 2)
        found[one] = x[one] * math.cos(angle) - x[two] * math.sin(angle)
        found[two] = x[two] * math.cos(angle) + x[one] * math.sin(angle)
    return found


def written_out(self, x, positions, documents, config):
    """`[s, h]` → `[s, h]` of one sample: equations 9 to 11 and 37 to 47 of arXiv:2405.04434, a loop over heads and queries."""
    value = config.latent.value
    turn = rotated if config.position == "rope" else lambda part, *unused: part
    down = x @ self.linear_kv_down_proj.weight.T
    c = self.kv_layernorm(down[:, :RANK])
    shared = torch.stack([turn(row, position, config) for row, position in zip(down[:, RANK:], positions.tolist())])
    if config.latent.query_rank is None:
        q = x @ self.linear_q_proj.weight.T
    else:
        q = self.q_layernorm(x @ self.linear_q_down_proj.weight.T) @ self.linear_q_up_proj.weight.T
    outputs = []
    for head in range(HEADS):
        up = self.linear_kv_up_proj.weight.view(HEADS, PLAIN + value, RANK)[head]
        keys, values = torch.cat([c @ up[:PLAIN].T, shared], dim=1), c @ up[PLAIN:].T
        found = []
        for i, query in enumerate(q.view(-1, HEADS, PLAIN + ROTATED)[:, head]):
            query = torch.cat([query[:PLAIN], turn(query[PLAIN:], positions[i].item(), config)])
            window = config.sliding_window or LENGTH
            seen = [j for j in range(i + 1) if i - j < window and documents[i] == documents[j]]
            scores = keys[seen] @ query * (config.softmax_scale or (PLAIN + ROTATED) ** -0.5)
            cap = config.attention_logit_cap
            scores = cap * torch.tanh(scores / cap) if cap else scores
            if config.position == "alibi":
                scores = scores - 2.0 ** (-8 / HEADS * (head + 1)) * (i - torch.tensor(seen))
            found.append(scores.softmax(-1) @ values[seen])
        outputs.append(torch.stack(found))
    return torch.cat(outputs, dim=1) @ self.linear_proj.weight.T


def built(config, seed: int = 1):
    from megatron_ext.models import gpt
    from megatron_ext.models.config import model_config

    core = model_config(config, 100, "local")
    core.base = config.model.rotary_base
    model = gpt.build(config.model, core, seed=seed)[0]
    for name, parameter in model.named_parameters():
        parameter.data.mul_(8).add_(0.1 if "norm" in name else 0)  # far from uniform weights, and norms that are not 1
    return model, core


def compared(launch, argv, packed):
    """`(output, gradients)` of ours, and of what is written out; without the output's bias, which comes beside it."""
    from megatron_ext.training.layout import processes

    config = read_configuration([*BASE.split(), *argv], launch.world_size)
    with processes(launch, config):
        torch.manual_seed(0)
        model, core = built(config)
        attention = model.decoder.layers[0].self_attention
        documents = DOCUMENTS if packed else torch.zeros_like(DOCUMENTS)
        positions = positions_of(documents) if packed else torch.arange(LENGTH).expand(2, -1)
        angles = model.rotary_pos_emb(LENGTH).flatten(1)[positions.T][:, :, None] if core.position == "rope" else None
        tokens = Tokens.whole(LENGTH, documents.device, documents) if packed else None
        x = torch.randn(LENGTH, 2, core.hidden_size, requires_grad=True)
        output, bias = attention(x, rotary_pos_emb=angles, attention_bias=tokens)
        assert (bias is None) == ("--add-attention-output-bias" not in argv)
        weights = torch.randn_like(output)
        learned = [x, *(each for name, each in attention.named_parameters() if name != "linear_proj.bias")]
        ours = output, torch.autograd.grad((output * weights).sum(), learned)
        rows = [written_out(attention, x[:, row], positions[row], documents[row], core) for row in range(2)]
        expected = torch.stack(rows, dim=1)
        theirs = expected, torch.autograd.grad((expected * weights).sum(), learned)
        return [(found.detach(), [gradient.detach() for gradient in gradients]) for found, gradients in (ours, theirs)]


@pytest.mark.compares("the paper's formulas, head by head, gradients too", within="1e-5", multi_latent_attention=True, **SIZES)
@pytest.mark.parametrize("packed", [False, True], ids=["", "packed"])
@pytest.mark.parametrize("case", CASES)
def test_equals_the_paper(case, packed, pool):
    (output, gradients), (expected, theirs) = pool.run(compared, 1, CASES[case].split(), packed)[0]
    for found, wanted in zip([output, *gradients], [expected, *theirs], strict=True):
        assert (found - wanted).norm() <= 1e-5 * wanted.norm()


def generating(launch):
    """What the cache holds after texts of 9 and 5 tokens and three steps; how often keys were made; logits of the steps, and of
    the whole texts at once."""
    from megatron_ext.inference.stages import forward
    from megatron_ext.models.cache import Cache
    from megatron_ext.training.layout import processes

    argv = "--v-head-dim 7 --q-lora-rank 24 --max-position-embeddings 40 --attention-pattern sliding_window causal"
    config = read_configuration([*BASE.split(), *argv.split(), "--sliding-window", "6"], launch.world_size)
    with processes(launch, config), torch.no_grad():
        model = built(config)[0].eval()
        made = []
        for layer in model.decoder.layers:
            layer.self_attention.linear_kv_up_proj.register_forward_hook(lambda *call: made.append(1))
        text, cache, lengths = (
            torch.randint(100, (2, 12), generator=torch.Generator().manual_seed(0)),
            Cache(30, 40, "cpu"),
            [9, 5],
        )
        cache.read(lengths)
        found = [forward(model, text[:, :9], cache.positions, cache)]
        expanded = len(made)
        for step in range(3):
            cache.next()
            token = torch.stack([text[row, length + step] for row, length in enumerate(lengths)])[:, None]
            found.append(forward(model, token, cache.positions, cache))
        kept = {layer: {name: tuple(tensor.shape) for name, tensor in memory.items()} for layer, memory in cache.memory.items()}
        steps = len(made) - expanded
        whole = forward(model, text, torch.arange(12).expand(2, -1))
        expected = [torch.stack([whole[row, length - 1 + step] for row, length in enumerate(lengths)]) for step in range(4)]
        return kept, (expanded, steps), torch.cat(found, dim=1), torch.stack(expected, dim=1)


def test_the_cache_holds_the_short_vectors_and_steps_make_no_keys(pool):
    kept, (expanded, steps), found, expected = pool.run(generating, 1)[0]
    assert kept == {layer: {"compressed": (2, 1, 30, RANK + ROTATED)} for layer in (1, 2)}
    assert (expanded, steps) == (2, 0)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def gathering(launch):
    """Of a pass and its way back: widths of what was gathered before and after, whether whole keys were let go between."""
    from torch.multiprocessing.reductions import StorageWeakRef

    from megatron_ext.models.attention import context_parallel
    from megatron_ext.training.layout import processes

    argv = ["--context-parallel-size", "2", "--seq-length", "20", "--v-head-dim", "7"]
    config = read_configuration([*BASE.split(), *argv], launch.world_size)
    gather, widths, whole = context_parallel._gather, [], []
    with processes(launch, config):
        attention = built(config)[0].decoder.layers[0].self_attention
        expand = attention._keys_and_values

        def spy(own, group):
            widths.append(own.shape[-1])
            whole.append(StorageWeakRef((found := gather(own, group)).untyped_storage()))
            return found

        def expanded(compressed):
            whole.append(StorageWeakRef((found := expand(compressed)).untyped_storage()))
            return found

        context_parallel._gather, attention._keys_and_values = spy, expanded
        try:
            x = torch.randn(10, 1, attention.config.hidden_size, requires_grad=True)
            output, _ = attention(x, attention_bias=context_parallel.own_tokens(20, x.device))
            before, let_go = list(widths), [each.expired() for each in whole]
            output.sum().backward()
        finally:
            context_parallel._gather = gather
        return before, widths[len(before) :], let_go, [each.expired() for each in whole]


def test_processes_that_share_samples_gather_the_short_vectors_and_keep_nothing_whole(pool):
    for before, after, let_go, in_the_end in pool.run(gathering, 2):
        assert before == [RANK + ROTATED] and set(after) == {RANK + ROTATED}
        assert len(let_go) == 2 and all(let_go) and all(in_the_end)


@pytest.mark.parametrize(("line", "said"), [
    ("--num-query-groups 2", "--num-query-groups 2: shares keys among heads"),
    ("--kv-channels 16 --qk-head-dim 16", "--kv-channels 16: is not --qk-head-dim 16 + --qk-pos-emb-head-dim 6"),
    ("--rotary-percent 0.5", "--rotary-percent 0.5: is what --qk-pos-emb-head-dim says here"),
    ("--qk-pos-emb-head-dim 5", "--qk-pos-emb-head-dim 5: is odd, and rotation takes pairs"),
    ("--position-embedding-type xpos", "--position-embedding-type xpos: multiplies keys by factors"),
    ("--position-embedding-type transformer_xl", "--position-embedding-type transformer_xl: has keys of its own"),
    ("--norm-placement deepnorm", "--norm-placement deepnorm: has initial weights of its own for values"),
    ("--no-qk-layernorm", "--no-qk-layernorm: would leave out the norms on the short vectors"),
    ("--qk-layernorm --qk-layernorm-across-heads", "--qk-layernorm-across-heads: is for heads"),
    ("--add-qkv-bias", "--add-qkv-bias: is there in no projection of --multi-latent-attention"),
    ("--add-bias-linear", "use --add-attention-output-bias and --add-mlp-bias"),
    ("--device cuda --transformer-impl transformer_engine", "--multi-latent-attention: is there in the local layers alone"),
    ("--hidden-size 66 --no-multi-latent-attention", "--kv-lora-rank 20: belongs to --multi-latent-attention"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(line, said):
    with pytest.raises(ConfigurationError) as error:
        read_configuration([*BASE.split(), *line.split()], 1)
    assert said in str(error.value)


def test_a_width_that_does_not_follow_must_be_given():
    line = (
        "--hidden-size 66 --num-attention-heads 4 --multi-latent-attention --mock-data --vocab-size 100 --train-iters 1".split()
    )
    with pytest.raises(ConfigurationError, match="give the head's width with --qk-head-dim"):
        read_configuration(line, 1)
    assert read_configuration([*line, "--qk-head-dim", "12"], 1).model.kv_channels == 18


def test_sizes_that_are_not_given_are_in_deepseeks_proportions():
    line = (
        "--hidden-size 1024 --num-attention-heads 8 --multi-latent-attention --mock-data --vocab-size 100 --train-iters 1".split()
    )
    model = read_configuration(line, 1).model
    assert (model.qk_head_dim, model.qk_pos_emb_head_dim, model.v_head_dim) == (128, 64, 128)
    assert (model.q_lora_rank, model.kv_lora_rank, model.kv_channels, model.qk_layernorm) == (None, 512, 192, True)
