"""Log a run: progress on the terminal, curves and pictures for TensorBoard."""

from __future__ import annotations

import time
from pathlib import Path

from torch import Tensor

from training.config import Config
from training.data.views import View
from training.evaluation.items import Item, items_from_views
from training.evaluation.validate import picture, table, validate
from vs_gainmap.gainmap import GainMapPreset
from vs_gainmap.models import Model


def open_examples(held_out: list[View], config: Config) -> list[Item]:
    """Return the items that a run is validated on; none without held-out scenes."""
    if not held_out:
        return []
    per_operator = config.run.validation_views
    return list(items_from_views(held_out, config.preset.build(), per_operator=per_operator))


class Logger:
    """Logs progress, curves and pictures of a run.

    Args:
        out: folder of the run.
        start: number of steps that are done.
        config: of the run.
    """

    def __init__(self, out: Path, start: int, config: Config) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(out / "tensorboard"), purge_step=start)
        self.out = out
        self.start = start
        self.config = config
        self.began = time.monotonic()
        self.sums: dict[str, float] = {}

    def log(self, done: int, terms: dict[str, Tensor], norm: float, rate: float) -> None:
        """Add a step; every `log_every` steps write the means since then."""
        for name, term in terms.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(term.detach())
        every = self.config.run.log_every
        if done % every:
            return
        pace = (time.monotonic() - self.began) / (done - self.start)
        left = pace * (self.config.run.steps - done)
        parts = " ".join(f"{name} {value / every:.4f}" for name, value in self.sums.items())
        print(
            f"step {done}/{self.config.run.steps} {parts} norm {norm:.2f} lr {rate:.1e} "
            f"{pace:.2f} s/step, {left / 60:.0f} min left",
            flush=True,
        )
        for name, value in self.sums.items():
            self.writer.add_scalar(f"loss/{name}", value / every, done)
        self.writer.add_scalar("rate", rate, done)
        self.sums.clear()

    def validate(
        self, done: int, average: Model, examples: list[Item], preset: GainMapPreset
    ) -> None:
        """Score the averaged network on held-out scenes, operator by operator."""
        scores = validate(average, examples, preset)
        for score in scores:
            self.writer.add_scalar(f"pq_psnr/{score.operator}", score.pq_psnr, done)
            self.writer.add_scalar(f"delta_e/{score.operator}", score.delta_e, done)
        text = f"step {done}\n{table(scores)}\n"
        print(text, flush=True)
        with (self.out / "validation.txt").open("a") as file:
            file.write(text)
        for number in range(0, len(examples), max(len(examples) // 6, 1)):
            example = examples[number]
            self.writer.add_image(
                f"{example.operator}/{number}", picture(average, example, preset), done
            )

    def close(self) -> None:
        """Flush the curves."""
        self.writer.close()
