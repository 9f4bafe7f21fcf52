"""Adam with decoupled weight decay (arXiv:1412.6980, arXiv:1711.05101). `--optimizer adam`

    m ← β₁m + (1−β₁)g;  v ← β₂v + (1−β₂)g²;  w ← w − lr · (m̂ / (√v̂ + ε) + λw)

megatron-core runs Transformer Engine's or Apex's fused Adam where one is installed, torch's AdamW otherwise.
"""

from __future__ import annotations


def settings(flags) -> dict:
    return dict(
        optimizer="adam",
        adam_beta1=flags.adam_beta1,
        adam_beta2=flags.adam_beta2,
        adam_eps=flags.adam_eps,
        decoupled_weight_decay=True,
    )
