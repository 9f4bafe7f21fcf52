"""docs/architectures.md is what the registries and the tests' marks say, and lacks nothing."""

from __future__ import annotations

import pytest

from tests.comparisons import comparisons, registries_of_models
from tools.architectures_page import PAGE, compared, concept, page, papers, shapes


@pytest.fixture(scope="module")
def known():
    return comparisons()


def test_the_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == page(), "run python tools/architectures_page.py"


def test_all_registries_of_the_models_are_there():
    assert {"attention_pattern", "position_embedding_type", "normalization", "norm_placement", "activation"} <= {
        flag.name for flag in registries_of_models()
    }


@pytest.mark.parametrize("flag", registries_of_models(), ids=lambda flag: flag.name)
def test_each_value_has_a_paper_and_a_comparison(flag, known):
    for name in flag.choices.names():
        module = flag.choices.load(name)
        assert papers(module.__doc__), f"{module.__name__}: add arXiv:NNNN.NNNNN to its docstring, or (no paper: why)"
        assert known.get((flag.name, name)), f"{flag.option} {name}: no test is marked with what it compares it with"
        assert f"| `{name}` |" in PAGE.read_text(encoding="utf-8")


def test_each_flag_beside_them_has_a_comparison(known):
    without = [flag.option for flag, _ in shapes() if not known.get((flag.name, True))]
    assert not without, f"no test is marked with what it compares these with: {without}"


def test_marks_name_flags_and_values_that_are_there(known):
    registered = {flag.name: flag.choices.names() for flag in registries_of_models()}
    others = {flag.name for flag, _ in shapes()}
    for name, value in known:
        assert value in registered.get(name, ()) or value is True, (name, value)
    marked = {name for (name, _), found in known.items() if any(not each.model for each in found)}
    assert marked <= registered.keys() | others


def test_models_are_told_by_what_they_set(known):
    models = {key: {each.model for each in found} for key, found in known.items()}
    assert models["attention_pattern", "sliding_window"] >= {"Mistral", "Gemma2"}
    assert models["activation", "geglu_tanh"] >= {"Gemma2"} and "Llama" not in models["activation", "geglu_tanh"]
    assert models["rotary_interleaved", True] == {"GPTJ", "Cohere", "Glm", "Glm4", "DeepseekV3"}
    assert compared(known["normalization", "rmsnorm"])[0].startswith("transformers: T5, UMT5, Llama, ")


@pytest.mark.parametrize(("docstring", "what", "paper"), [
    ("SwiGLU: silu(gate) · up (arXiv:2002.05202, LLaMA). `--activation swiglu`", "SwiGLU: silu(gate) · up",
     "[2002.05202](https://arxiv.org/abs/2002.05202)"),
    ("A window (arXiv:2004.05150,\nsection 3.1; arXiv:2310.06825).\n`--x y`\n\nMore.", "A window",
     "[2004.05150](https://arxiv.org/abs/2004.05150), [2310.06825](https://arxiv.org/abs/2310.06825)"),
    ("One. Two: three.\n\narXiv:2104.09864. `--x rope`", "One", "[2104.09864](https://arxiv.org/abs/2104.09864)"),
    ("Ours (no paper: made here). `--x y`", "Ours", "no paper: made here"),
    ("Nothing said. `--x y`", "Nothing said", ""),
])  # fmt: skip
def test_first_lines(docstring, what, paper):
    assert (concept(docstring), papers(docstring)) == (what, paper)
