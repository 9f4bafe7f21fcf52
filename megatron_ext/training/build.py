"""Build a run: everything that stays the same while it trains, in one object."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from types import ModuleType

import torch
from megatron.core.utils import configure_nvtx_profiling

from megatron_ext.arguments.config import Config
from megatron_ext.arguments.problems import UserError
from megatron_ext.arguments.registry import Registry
from megatron_ext.backend.busy import BusyClock
from megatron_ext.backend.distributed import all_or_none, first_alone, first_finds
from megatron_ext.backend.kernels import start_userbuffers, transformer_impl
from megatron_ext.checkpoint.claim import claimed
from megatron_ext.checkpoint.compatibility import TOKENIZER, architecture, schedule, updates
from megatron_ext.checkpoint.conversion import inventory
from megatron_ext.checkpoint.conversion.export_folder import Export, export_of
from megatron_ext.checkpoint.regions import Experts
from megatron_ext.checkpoint.restore import Parts, open_source, refuse_to_start_over, restore, same_folder
from megatron_ext.checkpoint.store import SaveFailed, Store, clear_partial
from megatron_ext.data.build import Data
from megatron_ext.data.build import build as build_data
from megatron_ext.data.loader import Loader
from megatron_ext.data.samples import Samples
from megatron_ext.models import gpt
from megatron_ext.models.architecture_flags import lengths
from megatron_ext.models.attention.summary import summary
from megatron_ext.models.config import ModelConfig, model_config
from megatron_ext.models.initialization import initial
from megatron_ext.models.moe.statistics import routing
from megatron_ext.models.multi_token_prediction import losses
from megatron_ext.models.sums import figures
from megatron_ext.monitor.monitor import Monitor
from megatron_ext.monitor.trace import Trace
from megatron_ext.objectives import Reading
from megatron_ext.objectives.reading.samples import OBJECTIVES, Maker
from megatron_ext.optim.schedules import Way, in_samples, way
from megatron_ext.optim.sharding.contract import Sharding
from megatron_ext.reliability.preemption import Preemption
from megatron_ext.tokenizers.build import build as build_tokenizer
from megatron_ext.tokenizers.contract import Tokenizer
from megatron_ext.tokenizers.files import contents
from megatron_ext.training import batch_size, extended_vocabulary
from megatron_ext.training.configuration import train_iterations
from megatron_ext.training.layout import Layout
from megatron_ext.training.state import Stop, TrainState

STAGES = Registry("megatron_ext.optim.sharding")


@dataclasses.dataclass
class Run:
    """What a run is made of.

    Attributes:
        data, loader: what is trained and evaluated on, indexed from 0 over the whole run, and who reads it ahead.
        tokenizer_files: contents by name, which each checkpoint keeps.
        token_bytes: bytes of text of each id.
        exports: what `--save-hf-interval` writes.
        way: the learning rate's, in updates or, where `way_in_samples`, in samples.
    """

    config: Config
    device: torch.device
    layout: Layout
    model_config: ModelConfig
    sharding: Sharding
    objective: ModuleType
    reading: Reading
    data: Data
    loader: Loader
    tokenizer: Tokenizer
    tokenizer_files: dict[str, bytes]
    token_bytes: torch.Tensor | None
    total_iters: int
    way: Way
    way_in_samples: bool
    store: Store | None
    exports: Export | None
    monitor: Monitor
    clock: BusyClock
    trace: Trace
    preemption: Preemption

    @property
    def train_samples(self) -> Samples:
        return self.data.train

    @property
    def record(self) -> dict:
        """What must agree between a checkpoint and the run that goes on from it."""
        return {
            "device": self.device.type,
            "architecture": architecture(self.config, self.model_config.vocab_size),
            "schedule": schedule(self.config, self.way.decay, self.way_in_samples),
            "updates": updates(self.config, self.tokenizer.fingerprint()),
            "vocabulary": self.tokenizer.vocabulary,
            "data": self.train_samples.fingerprint,
        }

    def own_folder(self) -> contextlib.AbstractContextManager:
        """Inside, no other run can have this one's folder, and all processes see it."""
        return contextlib.nullcontext() if self.store is None else claimed(self.store.folder)

    def restore(self) -> TrainState:
        """The newest whole checkpoint of `--save`, else of `--load` or `--extend-vocab-from`, else the beginning."""
        state, flags = TrainState(self.sharding), self.config.checkpoint
        path = self.store.newest_of_own() if self.store else None
        if path is not None:
            refuse_to_start_over(flags, path)
            restore(path, self, state)
            self.store.newest_iteration = state.iteration
        elif flags.load is not None and not same_folder(flags.load, flags.save):
            store = Store(flags.load, self.layout, flags, Experts.of(self.model_config))
            path = store.newest() if flags.ckpt_step is None else store.at(flags.ckpt_step)
            if path is None:
                raise UserError(f"--load {flags.load}: there is no whole checkpoint in this folder", shared=True)
            restore(path, self, state, Parts.of_load(flags))
            state.origin = str(path)
        elif flags.extend_vocab_from is not None:
            extended_vocabulary.start(self, state)
        return state

    def save(self, state: TrainState, last: bool) -> None:
        """Write a checkpoint if there is a `--save`. One that fails ends the run only if it is the `last`."""
        if self.store is None:
            return
        with self._surviving(True):
            self.store.finish()  # an earlier one in the background
        with self._surviving(not last):
            kept = {f"{TOKENIZER}/{name}": content for name, content in self.tokenizer_files.items()}
            self.store.save(state, self.record, {"run.yaml": self.config.to_yaml(), **kept})
            if last:
                self.store.finish()

    def export(self, state: TrainState) -> None:
        """Write a Hugging Face folder from the checkpoint just saved, all processes together. One that fails is said."""
        folder = self.store.folder / "huggingface"
        try:
            self.store.finish()
            first_alone(lambda: clear_partial(folder))
            checkpoint = self.store.folder / f"iter_{state.iteration:07d}"
            places = inventory.of_pieces(state.sharding.pieces())
            source = all_or_none(lambda: open_source(checkpoint, self.model_config), f"{checkpoint}: cannot be read")
            self.exports.write(source, places, folder / checkpoint.name)
        except UserError as error:
            self.monitor.warn(f"{error}; the run goes on, and tries again at the next --save-hf-interval")

    def poll(self) -> None:
        """Between two updates: complete a checkpoint in the background."""
        if self.store is not None:
            with self._surviving(True):
                self.store.poll()

    def asked_to_stop(self, late: bool = False) -> Stop | None:
        """Why any process asks to stop, the same on all: one small all-reduce where that can happen.

        Args:
            late: whether this process is past `--exit-duration-in-mins`; clocks differ, and one that is past it stops all.
        """
        flags = self.config.training
        heeded = flags.exit_signal_handler and self.store is not None
        if not heeded and flags.exit_duration_in_mins is None:
            return None
        asked = torch.tensor([self.preemption.received, late], dtype=torch.float32)
        if self.layout.world_size > 1:
            asked = asked.to(self.device)
            torch.distributed.all_reduce(asked, op=torch.distributed.ReduceOp.MAX)
        signalled, late = asked.tolist()
        if signalled:
            return Stop(f"--exit-signal {flags.exit_signal}", by_signal=True)
        return Stop(f"--exit-duration-in-mins {flags.exit_duration_in_mins:g}") if late else None

    @contextlib.contextmanager
    def _surviving(self, survive: bool) -> Iterator[None]:
        try:
            yield
        except SaveFailed as error:
            if not survive:
                raise
            self.monitor.warn(f"{error}; the run goes on, and tries again at the next --save-interval")


def build(config: Config, device: torch.device, preemption: Preemption | None = None) -> Run:
    """Build the run of a configuration; process groups must be up, and `preemption` listening."""
    layout = Layout.of(config, torch.distributed.get_rank())
    tokenizer = build_tokenizer(config.tokenizer)
    core = model_config(config, tokenizer.model_entries, transformer_impl(config.parallel.transformer_impl, device.type))
    rows, length = config.training.micro_batch_size, sum(lengths(config.model))
    objective = OBJECTIVES.load(config.objective.objective)
    make, reading = Maker(objective, config, tokenizer), _reading(config, tokenizer.eod)
    configure_nvtx_profiling(config.parallel.nvtx_ranges)
    if core.tp_comm_overlap:
        start_userbuffers(rows * length, core)
    models = gpt.build(config.model, core, config.training.seed)
    sharding = STAGES.load(f"zero_{config.optimizer.zero_stage}").Stage(models, core, config.optimizer, rows * length)
    if core.fp8_param:
        draw_master_weights(sharding, core, config.training.seed)
    data = _data(config, tokenizer, make, reading)
    total = train_iterations(config)
    by_samples = in_samples(config.optimizer, config.training.rampup_batch_size is not None)
    store = Store(config.checkpoint.save, layout, config.checkpoint, Experts.of(core)) if config.checkpoint.save else None
    table = tokenizer.token_bytes()
    return Run(
        config=config,
        device=device,
        layout=layout,
        model_config=core,
        sharding=sharding,
        objective=objective,
        reading=reading,
        data=data,
        loader=Loader(config.data.num_workers, config.training.micro_batch_size, layout.data_rank, layout.data, device),
        tokenizer=tokenizer,
        tokenizer_files=contents(config.tokenizer) if store else {},
        token_bytes=torch.from_numpy(table).to(device) if table.any() else None,
        total_iters=total,
        way=way(config.optimizer, batch_size.samples_in(config.training, total) if by_samples else total, by_samples),
        way_in_samples=by_samples,
        store=store,
        exports=_exports(config, core, tokenizer),
        monitor=Monitor(
            config,
            layout,
            device,
            core.params_dtype,
            core.vocab_size,
            total,
            attention=summary(core, rows, length, device),
            samples=make.told(data.train),
            seen=lambda: _seen(sharding.chunks, core, device),
        ),
        clock=BusyClock(device),
        trace=Trace(config.monitor, config.checkpoint.save, layout.rank, device),
        preemption=preemption or Preemption(),
    )


def _data(config: Config, tokenizer: Tokenizer, make: Maker, reading: Reading) -> Data:
    """What the objective makes of the data that the flags name."""
    return build_data(
        config.data,
        make.step,
        config.training.seed,
        tokenizer,
        evaluates=config.training.eval_interval is not None,
        agree=lambda find: first_finds(find, "the training data", each_node=not config.data.shared_storage),
        window=make.window,
        apart=reading.apart,
    ).of(make)


def _seen(*of) -> dict:
    """What a run's models saw, of all kinds."""
    return routing(*of) | losses(*of) | figures(*of)


def _reading(config: Config, eod: int | None) -> Reading:
    return Reading(eod, config.model.reset_position_ids, config.model.reset_attention_mask, config.training.eod_mask_loss)


def _exports(config: Config, core: ModelConfig, tokenizer) -> Export | None:
    """What `--save-hf-interval` writes; UserError on all processes where no class holds the model."""
    interval = config.checkpoint.save_hf_interval
    if interval is None:
        return None
    return all_or_none(lambda: export_of(config, core.vocab_size, tokenizer, core.params_dtype), f"--save-hf-interval {interval}")


@torch.no_grad()
def draw_master_weights(sharding: Sharding, core: ModelConfig, seed: int) -> None:
    """Weights that are kept in 8 bits lost what was drawn for them: draw the fp32 master weights themselves."""
    for piece in sharding.pieces():
        piece.tensors["weight"].copy_(initial(piece.place, core, seed).reshape(-1)[piece.begin : piece.end])
    sharding.loaded(0)
