"""Flags of what a model is trained to do."""

from __future__ import annotations

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem, option
from megatron_ext.arguments.registry import Registry
from megatron_ext.objectives.reading.table import LEARNT_BY, USUAL, refusals

OBJECTIVES = Registry("megatron_ext.objectives")
SENTENCE_TASKS = ("none", "next_sentence", "sentence_order")

_OF = {
    "prefix_length": ("prefix_lm",),
    "prefix_end_token": ("prefix_lm",),
    "span_corruption_rate": ("span_corruption",),
    "mean_span_length": ("span_corruption",),
    "fim_rate": ("fill_in_middle",),
    "fim_spm_rate": ("fill_in_middle",),
    "fim_prefix_token": ("fill_in_middle",),
    "fim_middle_token": ("fill_in_middle",),
    "fim_suffix_token": ("fill_in_middle",),
    "gmask_rate": ("blank_infilling",),
    "blank_rate": ("blank_infilling",),
    "mean_blank_length": ("blank_infilling",),
    "ul2_denoisers": ("mixture_of_denoisers",),
    "mask_token": ("blank_infilling", "masked_lm", "denoising"),
    "mask_prob": ("masked_lm",),
    "whole_word_masking": ("masked_lm",),
    "sentence_task": ("masked_lm",),
    "permute_sentences_rate": ("denoising",),
    "infill_rate": ("denoising",),
    "infill_mean": ("denoising",),
    "token_mask_rate": ("denoising",),
    "token_replace_rate": ("denoising",),
    "token_delete_rate": ("denoising",),
    "rotate_rate": ("denoising",),
}
"""Flag -> the objectives that it belongs to."""

_COUNT_TOKENS = ("alibi", "t5_bias")  # positions of scores, which know of no token's own position


@flag_group("objective", "What is learnt")
class ObjectiveFlags:
    objective: str | None = flag(
        None, "what the model is trained to do [what --architecture is for; causal_lm]", choices=OBJECTIVES, front=True
    )
    z_loss_coeff: float | None = flag(
        None, "weight of log² Z of each prediction beside its cross entropy (z-loss; PaLM: 1e-4) [none]", positive=True
    )
    prefix_length: int | None = flag(None, "tokens of each document that prefix_lm gives [drawn evenly]", least=1)
    prefix_end_token: str | None = flag(None, "control token of the data that ends what prefix_lm gives of a document")
    span_corruption_rate: float = flag(0.15, "share of a document's tokens that are noise", positive=True, most=0.9)
    mean_span_length: float = flag(3.0, "tokens of a span of noise, on average", least=1)
    fim_rate: float = flag(0.5, "share of documents whose middle is moved to their end", least=0, most=1)
    fim_spm_rate: float = flag(0.5, "share of those that begin with the end (SPM), not the beginning (PSM)", least=0, most=1)
    fim_prefix_token: str = flag("<|fim_prefix|>", "control token before what stands before the middle")
    fim_middle_token: str = flag("<|fim_middle|>", "… before the middle")
    fim_suffix_token: str = flag("<|fim_suffix|>", "… before what stands behind it")
    gmask_rate: float = flag(0.7, "share of documents whose rest is blank (GLM's [gMASK]), not short spans", least=0, most=1)
    blank_rate: float = flag(0.15, "share of a document's tokens in short blanks (GLM's [MASK])", positive=True, most=0.9)
    mean_blank_length: float = flag(3.0, "tokens of a short blank, on average (Poisson)", positive=True, most=100)
    ul2_denoisers: str | None = flag(None, "YAML file with the mixture's denoisers [UL2's seven]")
    mask_token: str = flag("[MASK]", "control token in place of what is masked (BART: <mask>)")
    mask_prob: float = flag(0.15, "share of a document's tokens that masked_lm predicts", positive=True, most=0.9)
    whole_word_masking: bool = flag(False, "predict all tokens of a word, or none")
    sentence_task: str = flag("none", "what [CLS] predicts of a document's two parts", choices=SENTENCE_TASKS)
    permute_sentences_rate: float = flag(1.0, "share of documents whose sentences are shuffled", least=0, most=1)
    infill_rate: float = flag(0.3, "share of tokens in spans for which one [MASK] stands", least=0, most=0.9)
    infill_mean: float = flag(3.0, "tokens of such a span, on average (Poisson; none is possible)", least=1, most=100)
    token_mask_rate: float = flag(0.0, "share of tokens that become [MASK] one by one", least=0, most=1)
    token_replace_rate: float = flag(0.0, "… a random token", least=0, most=1)
    token_delete_rate: float = flag(0.0, "… nothing", least=0, most=1)
    rotate_rate: float = flag(0.0, "share of documents that begin at a random token", least=0, most=1)

    @staticmethod
    def resolve(c):
        if c.objective is None:
            c.objective = USUAL.get(c.architecture, "causal_lm")
        if c.architecture is None:
            c.architecture = LEARNT_BY[c.objective][0]
        if c.objective != "causal_lm":  # they work document by document
            for name in ("reset_position_ids", "reset_attention_mask"):
                if name not in c.typed:
                    setattr(c, name, True)

    @staticmethod
    def check(c):
        yield from refusals(c)
        for name, objectives in _OF.items():
            if name in c.typed and c.objective not in objectives:
                reason = f"has no effect with --objective {c.objective}"
                yield Problem(option(name), getattr(c, name), reason, f"it belongs to {' and '.join(objectives)}; leave it out")
        if c.prefix_length is not None and c.prefix_end_token is not None:
            yield Problem("--prefix-length and --prefix-end-token", None, "contradict each other", "give one")
        if c.prefix_length is not None:
            yield from _prefix(c)
        if c.objective != "causal_lm":
            yield from _by_document(c)


def _prefix(c):
    """Samples that are all prefix would be learnt from, one token of each, and nothing would say so."""
    apart = c.architecture == "encoder_decoder"
    name, length = ("--encoder-seq-length", c.encoder_seq_length) if apart else ("--seq-length", c.seq_length)
    if length is not None and c.prefix_length >= length + apart:
        way_out = "give fewer tokens, or longer samples"
        yield Problem("--prefix-length", c.prefix_length, f"leaves nothing to predict in samples of {name} {length}", way_out)


def _by_document(c):
    for name in ("reset_position_ids", "reset_attention_mask"):
        if not getattr(c, name):
            reason = f"is what --objective {c.objective} cannot do without: it works document by document"
            yield Problem(f"--no-{option(name)[2:]}", None, reason, "leave it out")
    if c.objective == "blank_infilling" and c.gmask_rate < 1 and c.position_embedding_type in _COUNT_TOKENS:
        reason = "counts the tokens between two, and those of a short blank stand where their [MASK] does"
        way_out = "use rope or learned_absolute, or --gmask-rate 1"
        yield Problem("--position-embedding-type", c.position_embedding_type, reason, way_out)
    if c.mtp_num_layers is not None:
        reason = f"predicts the tokens that come next, and --objective {c.objective} others"
        yield Problem("--mtp-num-layers", c.mtp_num_layers, reason, "use --objective causal_lm, or leave it out")
    if c.eod_mask_loss:
        yield Problem("--eod-mask-loss", None, f"is what --objective {c.objective} does anyway", "leave it out")
