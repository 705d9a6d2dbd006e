"""The training loop: pairs -> network -> loss -> AdamW -> moving average -> checkpoint.

Lightning Fabric handles precision, devices and processes. The pairs and the dropout of step k are
functions of the seed and k, and a checkpoint holds network, average, optimizer and step. So N
steps are the same as k steps, a kill, and N - k more.
"""

from __future__ import annotations

import copy
import math
from pathlib import Path

import torch
from lightning_fabric import Fabric
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch import nn

from training.checkpoint import (
    BEST,
    CHECKPOINT,
    check_same,
    load_checkpoint,
    restore,
    save_checkpoint,
)
from training.config import (
    Config,
    ConfigError,
    ModelConfig,
    OptimizerConfig,
    TrainingError,
)
from training.data.batches import endless, open_data
from training.evaluation.validate import open_examples
from training.logging import Logger
from training.loss import gain_map_loss
from training.memory import keep_memory
from vs_gainmap.gainmap import GainMapPreset
from vs_gainmap.models import GMNet, GridNet, Model


def learning_rate(step: int, steps: int, config: OptimizerConfig) -> float:
    """Return the learning rate of a step, counted from 0."""
    warm = min((step + 1) / max(config.warm_up, 1), 1.0)
    share = step / steps
    if config.schedule == "cosine":
        return config.rate * warm * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
    if config.schedule == "halved":
        return config.rate * warm * 0.5 ** sum(share >= at for at in config.halve_at)
    left = (1 - share) / config.decay if config.decay > 0 else 1.0
    return config.rate * warm * min(max(left, 0.01), 1.0)


def build_model(config: ModelConfig, preset: GainMapPreset, seed: int) -> Model:
    """Build a network with initial weights.

    GMNet's published initialization, a tenth of Kaiming's, leaves a signal of about 1e-6 at the
    output and takes hundreds of steps to start. "chains" uses Kaiming's in the plain chains and a
    tenth of it inside residual blocks and at the last convolution. Biases start at a gain of a
    quarter of a stop and a Qmax of 0.8.
    """
    torch.manual_seed(seed)
    qmax = 0.8
    low, high = preset.min_log_gain, preset.max_log_gain
    neutral = (0.25 - low) / (qmax * high - low)
    if config.kind == "grid":
        grid = GridNet(config.channels)
        grid.set_start(neutral, qmax)
        return grid
    model = GMNet(config.channels, blocks=config.blocks)
    if config.start == "published":
        return model
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            inside = name.startswith("res") or name == "conv_last.weight"
            if name.endswith("weight") and not inside:
                parameter.mul_(10)
        bias = dict(model.named_parameters())
        bias["sq_qmax.conv.4.bias"].fill_(qmax)
        bias["conv_last.bias"].fill_(neutral)
    return model


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, step: int, decay: float) -> None:
    """Update the exponential moving average, faster in the first steps."""
    keep = min(decay, (1 + step) / (10 + step))
    for a, b in zip(average.parameters(), model.parameters(), strict=True):
        a.lerp_(b.detach().to(a.dtype), 1 - keep)
    for kept, now in zip(average.buffers(), model.buffers(), strict=True):
        kept.copy_(now)


def train(
    config: Config,
    out: Path,
    *,
    initial: Model | None = None,
    stop_at: int | None = None,
) -> Model:
    """Train, or continue from the checkpoint in `out`.

    Args:
        config: the run.
        out: gets ``last.ckpt``, ``best.ckpt`` by the validation's figure, those of
            `run.keep_every`, and what `Logger` writes.
        initial: network to start from.
        stop_at: stop after this step; None is the end.

    Returns:
        The averaged network.

    Raises:
        ConfigError: the checkpoint has another network, preset or data, `initial` is another
            network, or the machine has no such device.
        WeightsError: the checkpoint is damaged.
        MediaError: the data can't be read.
        TrainingError: the loss or a gradient is not finite, or a data worker died.
    """
    keep_memory()
    fabric = _start(config)
    preset = config.preset.build()
    dataset, held_out, data_id = open_data(config, fabric.world_size)
    bare = build_model(config.model, preset, config.run.seed)
    if initial is not None:
        _check_initial(initial, bare)
        bare = initial
    bare.train()
    average = copy.deepcopy(bare).requires_grad_(False).eval()
    bare = bare.to(memory_format=torch.channels_last)
    decay = config.optimizer.weight_decay
    bare_optimizer = torch.optim.AdamW(
        bare.parameters(), lr=0.0, betas=config.optimizer.betas, weight_decay=decay
    )
    out.mkdir(parents=True, exist_ok=True)
    state = load_checkpoint(out / CHECKPOINT) if (out / CHECKPOINT).is_file() else None
    changes = [] if state is None else check_same(state, config, data_id)
    model, optimizer = fabric.setup(bare, bare_optimizer)
    average.to(fabric.device)
    if state is not None:
        # After the weights have moved to the device: the optimizer's state follows them.
        restore(state, bare, average, bare_optimizer)
    start = saved = 0 if state is None else state.step
    best = None if state is None else state.best
    examples = open_examples(held_out, config) if fabric.is_global_zero else None
    logger = Logger(out, start, config) if fabric.is_global_zero else None
    if logger is not None:
        if state is not None:
            logger.say(
                f"train: continues after step {start} of {config.run.steps}, from "
                f"{out / CHECKPOINT}"
            )
        if changes:
            logger.say(f"train: changed since the checkpoint: {', '.join(changes)}")
        if examples is None and config.run.validation_views:
            logger.say("train: the data have no held-out scene and no test/: nothing is validated")
    end = min(stop_at or config.run.steps, config.run.steps)

    rank = fabric.global_rank
    batches = endless(dataset, config, out, start, rank, fabric.world_size)
    for step in range(start, end):
        batch = fabric.to_device(next(batches))
        sdr = batch["sdr"].contiguous(memory_format=torch.channels_last)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, config.run.steps, config.optimizer)
        # For dropout.
        torch.manual_seed(hash((config.run.seed, step, rank)))
        if isinstance(bare, GridNet):
            gain_map, qmax_norm = model(sdr, batch["small"], batch["statistics"], batch["window"])
        else:
            gain_map, qmax_norm = model(sdr, batch["thumbnail"])
        # A flat map means that the local branch is dead.
        spread = gain_map.detach().float().std(dim=(1, 2, 3)).mean()
        terms = gain_map_loss(gain_map.float(), qmax_norm.float(), batch, preset, config.loss)
        fabric.backward(terms["total"])
        longest = config.optimizer.clip_norm or math.inf
        norm = nn.utils.clip_grad_norm_(model.parameters(), longest)
        # The norm is of all processes' gradients: if one has to stop, all do.
        if not (torch.isfinite(terms["total"]) and torch.isfinite(norm)):
            kept = f"{out / CHECKPOINT} of step {saved} is kept" if saved else "nothing was saved"
            raise TrainingError(f"train: the loss is not finite at step {step + 1}; {kept}")
        optimizer.step()
        optimizer.zero_grad()
        update_average(average, model, step, config.run.ema)

        done = step + 1
        to_save = done % config.run.save_every == 0 or done == end
        saved = done if to_save else saved
        if logger is None:
            continue
        logger.log(
            done, {**terms, "map_spread": spread}, float(norm), optimizer.param_groups[0]["lr"]
        )
        names = [CHECKPOINT] if to_save else []
        if config.run.keep_every and done % config.run.keep_every == 0:
            names.append(f"step{done:07d}.ckpt")
        if examples is not None and (done % config.run.validate_every == 0 or done == end):
            figure = logger.validate(done, average, examples, preset)
            if best is None or figure > best:
                best = figure
                names.append(BEST)
        for name in names:
            save_checkpoint(
                out / name,
                step=done,
                model=bare,
                average=average,
                optimizer=bare_optimizer,
                config=config,
                data=data_id,
                best=best,
            )
    if logger is not None:
        logger.close()
    return average.cpu().eval()


def _start(config: Config) -> Fabric:
    """Start Fabric and its processes."""
    run = config.run
    try:
        fabric = Fabric(accelerator=run.accelerator, devices=run.devices, precision=run.precision)
    except (ValueError, RuntimeError, MisconfigurationException) as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(
            f'train: run.accelerator = "{run.accelerator}" with run.devices = {run.devices} and '
            f'run.precision = "{run.precision}" is not to be had here: {reason}'
        ) from error
    fabric.launch()
    return fabric


def _check_initial(initial: Model, built: Model) -> None:
    """Refuse an initial network that differs from the configuration's."""
    if type(initial) is not type(built):
        raise ConfigError(
            f"train: --initial is a {type(initial).__name__}, the configuration builds a "
            f"{type(built).__name__}; see model.kind"
        )
    shapes, wanted = (
        {name: tuple(value.shape) for name, value in model.state_dict().items()}
        for model in (initial, built)
    )
    for name in sorted(shapes.keys() | wanted.keys()):
        if shapes.get(name) != wanted.get(name):
            raise ConfigError(
                f"train: --initial has another size than the configuration builds: {name} is "
                f"{shapes.get(name, 'missing')} instead of {wanted.get(name, 'missing')}; "
                "see model.channels and model.blocks"
            )
