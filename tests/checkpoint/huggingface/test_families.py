"""Each family out of a folder, over a run on four processes, and back: the same tensors byte for byte, the same config.json."""

from __future__ import annotations

import json
import pathlib
import re
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from megatron_ext.arguments.problems import UserError
from megatron_ext.checkpoint.conversion.export_folder import Export
from megatron_ext.checkpoint.conversion.families import FAMILIES, Family, family_for, family_of, meaning
from megatron_ext.checkpoint.conversion.settings import Settings, read_settings
from megatron_ext.checkpoint.conversion.source import HuggingFaceSource
from megatron_ext.checkpoint.saved_arguments import saved_arguments
from megatron_ext.training.trained import of_folder
from tests.parity.encoder_decoders import ENCODER_DECODERS, bart
from tests.parity.encoders import ENCODERS
from tests.parity.families import FAMILIES as DECODERS
from tests.parity.families import VOCAB
from tests.parity.test_further_predictions import save_with_further_layer
from tests.parity.test_parity import perturbed

MODELS = (*DECODERS, *ENCODER_DECODERS, *ENCODERS)
FURTHER = "deepseek_v3_further"  # with a layer of multi-token prediction
ROOT = pathlib.Path(__file__).resolve().parents[3]
NAMES = [*(model.__name__ for model in MODELS), FURTHER]
DEFAULTS = dict(check_=False, eod_token=None, hf_model_type=None, dtype=None, max_shard_size=1e-4, from_hf=None, from_=None)
SPREAD = ["--tensor-model-parallel-size", "2", "--pipeline-model-parallel-size", "2", "--decoder-first-pipeline-num-layers", "1"]
# One head of keys for all, or three heads, cannot be shared by two: pipeline and data parallelism there.
WHOLE_HEADS = ("gpt2", "gpt_bigcode", "falcon")
# Experts go from one layout to the next.
TO_SEQUENCES = ["--sequence-parallel", "--expert-tensor-parallel-size"]
SPREAD_EXPERTS = [
    [*SPREAD, *TO_SEQUENCES, "2"],
    ["--tensor-model-parallel-size", "2", "--expert-model-parallel-size", "2", *TO_SEQUENCES, "1"],
    [*SPREAD[2:], "--expert-model-parallel-size", "2"],
]
EXPERTS = ("mixtral", "qwen2_moe", "qwen3_moe", FURTHER)
LIKE_FURTHER = ("deepseek_v3", "deepseek_v3_direct_queries")  # on one layout


def imported(launch, folders: list[tuple[pathlib.Path, pathlib.Path]]) -> None:
    from megatron_ext.training.conversion import from_huggingface

    for folder, run in folders:
        from_huggingface(SimpleNamespace(**DEFAULTS | {"from_hf": str(folder), "to": str(run)}))


def spread_and_saved(launch, runs: list[tuple[pathlib.Path, pathlib.Path, list[str]]], trained: list[str]) -> None:
    """Load each run as training does, on four processes, and save what they have, weights and moments, as a run of its own."""
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    for loaded, saved, layout in runs:
        base = f"--load {loaded} --save {saved} --use-checkpoint-args --vocab-size {VOCAB} --mock-data "
        argv = [*(base + "--train-iters 1 --global-batch-size 4 --device cpu --zero-stage 1").split(), *trained, *layout]
        config = read_configuration(argv, launch.world_size)
        with processes(launch, config) as device:
            from megatron_ext.training.build import build

            run = build(config, device)
            state = run.restore()
            state.iteration = 1
            run.save(state, last=True)


def exported(launch, runs: list[tuple[pathlib.Path, pathlib.Path]]) -> None:
    from megatron_ext.training.conversion import to_huggingface

    for run, folder in runs:
        to_huggingface(SimpleNamespace(**DEFAULTS | {"from_": str(run), "to_hf": str(folder)}))


def layouts_of(name: str) -> list[list[str]]:
    if name in WHOLE_HEADS:
        return [SPREAD[2:]]
    if name in EXPERTS + LIKE_FURTHER:
        return SPREAD_EXPERTS[: 1 if name in LIKE_FURTHER else None]
    return [SPREAD]


def trained(name: str, place: pathlib.Path) -> list[str]:
    """Flags of the tokenizer, and of an objective that needs few control tokens."""
    if name not in {model.__name__ for model in (*ENCODERS, *ENCODER_DECODERS)}:
        return ["--tokenizer-type", "null"]
    objective = "masked_lm" if name in {model.__name__ for model in ENCODERS} else "denoising"
    control = ["<|endoftext|>", "[MASK]", "[CLS]", "[SEP]"]
    tokenizer = Tokenizer(WordLevel({entry: number for number, entry in enumerate([*control, *"abc"])}, unk_token="a"))
    tokenizer.add_special_tokens(control)
    tokenizer.save(str(place / "tokenizer.json"))
    return ["--tokenizer-model", str(place / "tokenizer.json"), "--objective", objective]


def round_trip(name: str, pool, place: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """`(folder that transformers wrote, folder that came back)`."""
    theirs, run, ours = place / "theirs", place / "run", place / "ours"
    if name == FURTHER:
        save_with_further_layer(theirs)
    else:
        perturbed(next(model for model in MODELS if model.__name__ == name)()).save_pretrained(theirs)
    pool.run(imported, 1, [(theirs, run)])
    layouts = layouts_of(name)
    runs = [run, *(place / f"spread_{number}" for number in range(len(layouts)))]
    pool.run(spread_and_saved, 4, list(zip(runs, runs[1:], layouts)), trained(name, place))
    pool.run(exported, 1, [(runs[-1], ours)])
    return theirs, ours


def tensors(folder: pathlib.Path):
    return {name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(file).items()}


@pytest.mark.parametrize("name", NAMES)
def test_tensors_come_back_byte_for_byte_and_config_in_its_meaning(name, pool, tmp_path):
    folders = round_trip(name, pool, tmp_path)
    theirs, ours = map(tensors, folders)
    ignored = getattr(family_of(read_settings(folders[0])).module, "IGNORED", ())  # BART's zeros
    theirs = {key: tensor for key, tensor in theirs.items() if not any(re.search(pattern, key) for pattern in ignored)}
    assert theirs.keys() == ours.keys()
    for key, tensor in theirs.items():
        if key.endswith("embed_positions.weight"):  # BART's first two rows, which nothing looks up
            tensor[:2] = 0
        assert tensor.dtype == ours[key].dtype and tensor.equal(ours[key]), key
    index = json.loads((folders[1] / "model.safetensors.index.json").read_text())  # a tenth of a MB a file
    assert index["weight_map"].keys() == ours.keys()
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in ours.values())
    same_config(name, *folders)


# Not the model's: what wrote the file, names of the tokens that the run has no tokenizer for, and what transformers derives.
PASSING = {"_name_or_path", "transformers_version", "bos_token_id", "eos_token_id", "pad_token_id"}
WITHOUT_EFFECT = {
    "qwen2": {"max_window_layers"},  # no layer has the window
    "qwen3": {"max_window_layers"},
    "gptj": {"activation_function"},  # gelu_new is gelu_pytorch_tanh
    "falcon": {"num_kv_heads"},  # multi_query says 1
    "mixtral": {"head_dim"},  # hidden / heads
    "ul2": {"output_past"},  # a key of older versions
    # no layer has experts
    "deepseek_v3_dense": {
        "n_routed_experts",
        "n_shared_experts",
        "num_experts_per_tok",
        "moe_intermediate_size",
        "n_group",
        "topk_group",
    },
    "falcon_40b": {"multi_query"},  # new_decoder_architecture looks at num_kv_heads
}


def same_config(name: str, *folders: pathlib.Path) -> None:
    """To us, and to transformers: every field of its object is as it was (ours has keys of older versions besides)."""
    import transformers

    theirs, ours = (HuggingFaceSource(folder).values for folder in folders)
    assert ours == theirs
    theirs, ours = (transformers.AutoConfig.from_pretrained(folder).to_dict() for folder in folders)
    keys = theirs.keys() - PASSING - WITHOUT_EFFECT.get(name, set())
    assert {key: ours.get(key) for key in keys} == {key: theirs[key] for key in keys}


@pytest.mark.parametrize(("first", "expected"), [(None, 3), (7, 7)])
def test_a_decoder_begins_there_as_it_was_trained(first, expected, tmp_path):
    """With the token that ends a document, unless the run says another."""
    values, flags = (
        dict(architecture="encoder_decoder", decoder_start_token_id=first),
        SimpleNamespace(tokenizer_type="huggingface"),
    )
    export = Export(Family.named("t5"), values, 9, torch.float32, SimpleNamespace(eod=3), flags)
    assert export._ids(tmp_path)["decoder_start_token_id"] == expected


@pytest.mark.parametrize("name", FAMILIES.names())
def test_a_family_is_the_model_type_that_it_is_named_after(name):
    import transformers

    family = Family.named(name)
    config = transformers.models.auto.configuration_auto.CONFIG_MAPPING[family.model_type]
    auto = transformers.models.auto.modeling_auto
    mappings = (auto.MODEL_FOR_PRETRAINING_MAPPING, auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING, auto.MODEL_FOR_CAUSAL_LM_MAPPING)
    assert family.module.ARCHITECTURE in {mapping[config].__name__ for mapping in mappings if config in mapping}
    assert family.module.__doc__
    assert f"| `{name}` | {family.module.ARCHITECTURE} |" in (ROOT / "docs" / "huggingface.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("model", MODELS)
def test_a_key_that_is_not_there_is_what_the_class_takes(model):
    """As transformers fills it in, or refused. How many further layers there are, tensors say."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    whole = model().config.to_dict()
    for key in whole.keys() - {"model_type", "hidden_size", "num_nextn_predict_layers"}:
        keys = {name: value for name, value in whole.items() if name != key}
        ours = meant(keys)
        if isinstance(ours, dict):
            assert ours == meant(CONFIG_MAPPING[whole["model_type"]].from_dict(keys).to_dict()), key


@pytest.mark.parametrize("model", MODELS)
def test_true_and_false_as_words_are_refused(model):
    """By each key that means something; any text would be true."""
    whole = model().config.to_dict()
    read = []
    for key in (key for key, value in whole.items() if isinstance(value, bool)):
        if meant(whole | {key: True}) != meant(whole | {key: False}):
            read.append(key)
            assert f'{key} is "no"' in meant(whole | {key: "no"})
    assert "tie_word_embeddings" in read


def meant(keys) -> dict | str:
    settings = Settings(keys)
    try:
        return family_of(settings).flags(settings)
    except UserError as error:
        return str(error)


@pytest.mark.parametrize("model", MODELS)
def test_the_class_that_holds_a_model_is_found_from_its_flags_alone(model):
    settings = Settings(model().config.to_dict())
    values = family_of(settings).flags(settings)
    assert family_for(values).name == family_of(settings).name
    assert meaning(values) == meaning(family_of(settings).flags(Settings(family_of(settings).config(values))))


@pytest.mark.parametrize(("tokenizer", "mask"), [
    (None, "<mask>"), ({"eos_token": "</s>"}, "<mask>"), ({"mask_token": "[MASK]"}, "[MASK]"),
    ({"mask_token": {"content": "<m>"}}, "<m>"),
])  # fmt: skip
def test_a_bart_goes_on_with_its_own_task(tokenizer, mask, tmp_path):
    """And with the mask of its own tokenizer, which is ours where the model was trained here."""
    perturbed(bart()).save_pretrained(tmp_path)
    if tokenizer is not None:
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    asked = of_folder(HuggingFaceSource(tmp_path), []).objective
    trained_on = SimpleNamespace(**saved_arguments(None, str(tmp_path), None))
    for config in (asked, trained_on):
        assert (config.objective, config.mask_token) == ("denoising", mask)
