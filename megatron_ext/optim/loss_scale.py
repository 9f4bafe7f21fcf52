"""Loss scaling for fp16 (arXiv:1710.03740): numbers below 6e-8 are zero in fp16, so backward starts from scale · loss.

`--loss-scale` keeps one scale. Without it the scale is dynamic: an update whose gradient overflowed (fp16 ends at 65,504) is
skipped; after `--hysteresis` of them each halves the scale, down to `--min-loss-scale`; `--loss-scale-window` updates
without one double it. The rule is megatron-core's own.

The scale is meant for the mean loss of a micro-batch, as in Megatron-LM, whose figures therefore hold here. What is
differentiated here is the sum over tokens, so the factor is scale / tokens, tokens rounded to a power of two: then scaling
and unscaling are exact, and the micro-batch size changes nothing.
"""

from __future__ import annotations

import math

import torch
from megatron.core.optimizer.grad_scaler import ConstantGradScaler, DynamicGradScaler, MegatronGradScaler


class LossScale(MegatronGradScaler):
    """One scale for all of a run's optimizers, in the place of those that megatron-core gives each.

    Experts have an optimizer of their own; with a scale of its own its gradients would be divided by another number than
    the loss was multiplied by, once one of the two has overflowed alone.

    Args:
        flags: of the optimizer.
        tokens: in a micro-batch.
    """

    def __init__(self, flags, tokens: int):
        self._factor = 2.0 ** -round(math.log2(tokens))
        if flags.loss_scale is not None:
            self._rule = ConstantGradScaler(flags.loss_scale)
        else:
            self._rule = DynamicGradScaler(
                initial_scale=flags.initial_loss_scale,
                min_scale=flags.min_loss_scale,
                growth_factor=2.0,
                backoff_factor=0.5,
                growth_interval=flags.loss_scale_window,
                hysteresis=flags.hysteresis,
            )

    @property
    def current(self) -> float:
        """The scale as the flags count it."""
        return self._rule.scale.item()

    @property
    def scale(self) -> torch.Tensor:
        """What the summed loss is multiplied by, fp32 `[1]`."""
        return self._rule.scale * self._factor

    @property
    def inv_scale(self) -> torch.Tensor:
        return self._rule.inv_scale / self._factor

    def update(self, found_inf: bool) -> None:
        """Each optimizer says what it found in its own gradients: what counts is said once, to `settle`."""

    def settle(self, overflowed: bool) -> None:
        """To be called once an update, on every process alike."""
        self._rule.update(overflowed)

    def state_dict(self) -> dict[str, float]:
        """Plain numbers, for a checkpoint; empty for a scale that never changes."""
        return {name: value.item() if torch.is_tensor(value) else value for name, value in self._rule.state_dict().items()}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Go on where another scale stood; nothing to do from one that never changed."""
        if state_dict:
            scale = torch.tensor([state_dict["scale"]], dtype=torch.float, device=self._rule.scale.device)
            self._rule.load_state_dict(state_dict | {"scale": scale})
