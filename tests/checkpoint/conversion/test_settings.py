"""config.json of transformers 4 and 5 alike; what there is nothing for is refused by file, key and value."""

from __future__ import annotations

import json

import pytest

from megatron_ext.arguments.problems import UserError
from megatron_ext.checkpoint.conversion.families import family_of, resolved
from megatron_ext.checkpoint.conversion.settings import Settings, read_settings

LLAMA = dict(model_type="llama", hidden_size=48, num_hidden_layers=3, num_attention_heads=6, intermediate_size=80)
QWEN2 = LLAMA | {"model_type": "qwen2"}
GPT_NEOX = LLAMA | {"model_type": "gpt_neox"}


def flags(**keys):
    settings = Settings(LLAMA | keys, "folder/config.json")
    return family_of(settings).flags(settings)


@pytest.mark.parametrize(
    "keys",
    [
        {"rope_theta": 500000.0, "rope_scaling": None},  # transformers 4
        {"rope_parameters": {"rope_type": "default", "rope_theta": 500000.0}},  # 5
        {"rope_parameters": {"rope_type": "default", "rope_theta": 500000.0}, "rope_theta": 500000.0},  # ours
    ],
)
def test_both_styles_of_rotary_keys_are_read(keys):
    assert flags(**keys)["rotary_base"] == 500000


@pytest.mark.parametrize(
    "family", ["llama", "mistral", "mixtral", "qwen2", "qwen3", "gemma2", "olmo2", "smollm3", "gpt_neox", "glm"]
)
def test_a_base_that_is_not_said_is_the_classes_own(family):
    import transformers

    config = transformers.AutoConfig.for_model(family)
    keys = {
        key: value for key, value in config.to_dict().items() if key not in ("rope_theta", "rope_parameters", "no_rope_layers")
    }
    keys |= {"no_rope_layers": [0] * config.num_hidden_layers} if family == "smollm3" else {}
    settings = Settings(keys)
    assert settings.values["model_type"] == family
    found = family_of(settings).flags(settings)
    expected = config.rope_parameters["rope_theta"]
    assert found["rotary_base"] == expected or found["position_embedding_type"] == "none"


def test_a_base_that_versions_differ_in_must_be_said():
    with pytest.raises(UserError, match="config.json: has no rope_theta"):
        flags(model_type="cohere")
    assert flags(model_type="cohere", rope_parameters={"rope_type": "default", "rope_theta": 77.0})["rotary_base"] == 77


def test_a_share_of_the_channels_is_read_in_both_styles():
    four, five = (
        {"rotary_pct": 0.5, "rotary_emb_base": 500},
        {"rope_parameters": {"partial_rotary_factor": 0.5, "rope_theta": 500.0}},
    )
    for keys in (four, five):
        found = flags(**GPT_NEOX | keys)
        assert (found["rotary_base"], found["rotary_percent"]) == (500, 0.5)
    assert flags(**GPT_NEOX)["rotary_percent"] == 0.25  # its own where nothing is said


REFUSED = [
    ({"rope_scaling": {"type": "linear", "factor": 2.0}}, 'rope_scaling is {"type": "linear", "factor": 2.0}'),
    ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 5e5}}, 'rope_parameters is {"rope_type": "llama3"'),
    ({"rope_theta": 1234.5}, "rope_theta is 1234.5"),
    ({"partial_rotary_factor": 0.5}, "partial_rotary_factor is 0.5"),
    ({"hidden_act": "mish"}, 'hidden_act is "mish"'),
    ({"hidden_size": "wide"}, "holds a value of the wrong kind"),
    ({"hidden_size": None}, "has no hidden_size"),
    ({"num_hidden_layers": 2.5}, "means --num-layers 2.5, which is no such value; expected a whole number"),
    ({"intermediate_size": True}, "means --ffn-hidden-size true"),
    ({"num_attention_heads": 0}, "holds a value of the wrong kind"),
    ({"attention_dropout": 1.5}, "means --attention-dropout 1.5"),
    ({"model_type": "lama"}, 'model_type is "lama", which is not there; did you mean llama?'),
    ({"model_type": "gpt2", "embd_pdrop": 0.1, "resid_pdrop": 0.2}, "embd_pdrop is 0.1, which is not there; there is 0.2"),
    ({"model_type": "gpt2", "resid_pdrop": 0.0}, "embd_pdrop is 0.1, which is not there; there is 0, "),
    ({"tie_word_embeddings": "no"}, 'tie_word_embeddings is "no", which is not there; there is true or false'),
    ({"attention_bias": "false"}, 'attention_bias is "false"'),
    ({"tie_word_embeddings": 2}, "tie_word_embeddings is 2"),
    ({"model_type": "gpt_neox", "use_parallel_residual": []}, "use_parallel_residual is []"),
    ({"model_type": "mpt", "expansion_ratio": "4"}, 'expansion_ratio is "4", which is not there; there are numbers'),
    ({"model_type": "cohere", "use_qk_norm": True}, "use_qk_norm is true"),
    ({"model_type": "mpt", "attn_config": {"alibi": False}}, "alibi is false"),
    ({"model_type": "mpt", "attn_config": {"clip_qkv": 8}}, "clip_qkv is 8"),
    ({"model_type": "smollm3", "no_rope_layers": [1, 1, 0]}, "no_rope_layers is [1, 1, 0]"),
    ({"model_type": "qwen2", "layer_types": ["chunked_attention"] * 3}, 'layer_types is "chunked_attention"'),
]  # fmt: skip


@pytest.mark.parametrize(("keys", "said"), REFUSED)
def test_what_there_is_nothing_for_is_refused(keys, said):
    with pytest.raises(UserError) as refused:
        flags(**keys)
    assert str(refused.value).startswith("folder/config.json: ") and said in str(refused.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "is not there; a Hugging Face folder has one"),
        ("{", "cannot be read as JSON"),
        ("[]", "is no JSON object"),
        (json.dumps(LLAMA | {"quantization_config": {"quant_method": "fp8"}}), 'quantization_config is {"quant_method": "fp8"}'),
    ],
)
def test_a_file_that_is_none_is_refused(content, said, tmp_path):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(UserError) as refused:
        read_settings(tmp_path)
    assert str(refused.value).startswith(f"{tmp_path}/config.json: ") and said in str(refused.value)


def test_a_null_says_what_the_class_has_by_default():
    attention = dict.fromkeys(("alibi", "clip_qkv", "qk_ln", "softmax_scale"))
    assert flags(model_type="mpt", no_bias=None, attn_config=attention) == flags(model_type="mpt")
    cohere = {"model_type": "cohere", "rope_theta": 10000.0}
    assert flags(**cohere, use_qk_norm=None) == flags(**cohere)
    assert flags(model_type="gpt2", embd_pdrop=None, resid_pdrop=None)["hidden_dropout"] == 0.1


def test_sizes_may_be_written_with_a_point():
    sizes = {key: float(value) for key, value in LLAMA.items() if key != "model_type"}
    for keys in ({}, {"model_type": "gpt_neox"}, {"model_type": "qwen2"}, {"model_type": "smollm3", "no_rope_layers": [0, 0, 0]}):
        found = flags(**sizes | keys)
        assert found == flags(**keys) and isinstance(found["hidden_size"], int)
    assert flags(model_type="mpt", expansion_ratio=3.0)["ffn_hidden_size"] == 3 * 48


def test_layers_with_a_window_are_the_pattern_that_they_take_in_turn():
    upper = {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1}
    assert flags(**QWEN2 | upper)["attention_pattern"] == ("causal", "sliding_window", "sliding_window")
    types = ["sliding_attention", "full_attention", "sliding_attention"]
    assert flags(**QWEN2 | upper | {"layer_types": types})["attention_pattern"] == ("sliding_window", "causal")
    assert flags(**QWEN2 | {"sliding_window": 5, "use_sliding_window": False})["sliding_window"] is None
    assert flags(model_type="mistral", sliding_window=5)["attention_pattern"] == ("sliding_window",)
    assert flags(model_type="mistral", sliding_window=None)["attention_pattern"] == ("causal",)


def test_resolved_flags_are_those_of_a_run():
    from megatron_ext.training.configuration import read_configuration

    argv = (
        "--mock-data --train-iters 1 --num-layers 3 --hidden-size 48 --num-attention-heads 6 --add-bias-linear --seq-length 512"
    )
    given = dict(num_layers=3, hidden_size=48, num_attention_heads=6, add_bias_linear=True)
    assert resolved(given) == vars(read_configuration(argv.split(), 1).model)
