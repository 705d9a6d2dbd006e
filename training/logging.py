"""Log a run: a log file, the configuration, and curves and pictures for TensorBoard."""

from __future__ import annotations

import time
from pathlib import Path

from torch import Tensor

from training.config import Config, to_toml
from training.evaluation.measure import Row, format_table, summary
from training.evaluation.validate import Examples, picture, validate
from vs_gainmap.files import write_bytes
from vs_gainmap.gainmap import GainMapPreset
from vs_gainmap.models import Model

LOG, CONFIG, VALIDATION = "log.txt", "config.toml", "validation.txt"
PICTURES = 6


class Logger:
    """Logs progress, curves and pictures of a run.

    Args:
        out: folder of the run; gets the files.
        start: number of steps that are done. Curves beyond it, of a run that was killed, are
            hidden.
        config: of the run; a copy is written.
    """

    def __init__(self, out: Path, start: int, config: Config) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(out / "tensorboard"), purge_step=start + 1)
        write_bytes(out / CONFIG, to_toml(config).encode())
        self.out = out
        self.start = start
        self.config = config
        self.began = time.monotonic()
        self.sums: dict[str, float] = {}

    def say(self, text: str) -> None:
        """Write to the terminal and to the log file."""
        print(text, flush=True)
        with (self.out / LOG).open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")

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
        self.say(
            f"step {done}/{self.config.run.steps} {parts} norm {norm:.2f} lr {rate:.1e} "
            f"{pace:.2f} s/step, {left / 60:.0f} min left"
        )
        for name, value in self.sums.items():
            self.writer.add_scalar(f"loss/{name}", value / every, done)
        self.writer.add_scalar("rate", rate, done)
        self.sums.clear()

    def validate(
        self, done: int, average: Model, examples: Examples, preset: GainMapPreset
    ) -> float:
        """Measure the averaged network, operator by operator; return `examples.figure` of all."""
        rows: list[Row] = []
        for number, (row, item, output) in enumerate(validate(average, examples, preset)):
            rows.append(row)
            if number % max(examples.count // PICTURES, 1) == 0:
                name = f"{item.operator}/{number}"
                self.writer.add_image(name, picture(item, output), done)
        scores = summary(rows, by=lambda row: row.operator) | summary(rows, by=lambda _: "all")
        for operator, values in scores.items():
            for name, value in values.items():
                self.writer.add_scalar(f"{name}/{operator}", value, done)
        text = f"step {done}\n{format_table(scores)}\n"
        self.say(text)
        with (self.out / VALIDATION).open("a") as file:
            file.write(text)
        return scores["all"][examples.figure]

    def close(self) -> None:
        """Flush the curves."""
        self.writer.close()
