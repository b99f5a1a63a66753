"""Logging to W&B, which may fail without failing a run, and to CSV, which is always there."""

import os
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger, Logger
from lightning.pytorch.utilities import rank_zero_only

from prompt_lab.errors import LabError
from prompt_lab.reporting.environment import environment

WandbMode = Literal["auto", "online", "offline", "disabled"]
WAIT_SECONDS = 20
"""How long to wait for W&B's server before a run goes on offline."""
FINISH_SECONDS = 60
"""How long a run waits for what is not uploaded yet, unless WANDB_FINISH_TIMEOUT says; it stays on disk, for ``wandb sync``."""


def loggers(
    folder: Path, identity: Mapping[str, Any], mode: WandbMode, project: str, config: Mapping[str, Any]
) -> list[Logger]:
    """CSV beside the record, and W&B unless disabled.

    Args:
        folder: the run's folder; W&B's files go to ``wandb`` in it.
        identity: flat facts to filter on: paradigm, strategy, task, backbone, k, split_seed and so on.
        mode: ``auto`` is online when somebody is logged in (WANDB_MODE overrides it), and offline otherwise.
        project: W&B project.
        config: all settings; logged once, beside the identity.
    """
    found: list[Logger] = [CSVLogger(folder, name="", version="")]
    if mode == "auto":
        mode = resolved_mode()
    if mode != "disabled":
        found.append(Tracker(folder, identity, mode == "offline", project, config))
    return found


def resolved_mode() -> WandbMode:
    """What ``auto`` means here: WANDB_MODE if it is set, online with an API key, else offline. Never asks for a login."""
    wanted = os.environ.get("WANDB_MODE", "")
    if wanted in ("online", "offline", "disabled"):
        return wanted  # type: ignore[return-value]
    try:
        return "online" if _logged_in() else "offline"
    except Exception as error:
        _warn(error)
        return "disabled"


def _logged_in() -> bool:
    """Whether W&B finds an API key, without asking for one."""
    return bool(_silent_wandb().login(prompt=False, verify=False))


def _silent_wandb() -> Any:
    import wandb

    wandb.setup(wandb.Settings(silent=True))
    return wandb


class Tracker(Logger):
    """Lightning's ``WandbLogger``, except that an error of W&B's ends the logging and not the run.

    Group is task and K, job type the paradigm, name paradigm and seed. Versions of libraries are in the configuration; W&B would list
    all packages again for every run, which takes as long as a few steps of training.
    """

    def __init__(
        self, folder: Path, identity: Mapping[str, Any], offline: bool, project: str, config: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self._inner: Any = None
        folder.mkdir(parents=True, exist_ok=True)
        self._guard(lambda: self._open(folder, identity, offline, project, config))

    @rank_zero_only
    def _open(
        self, folder: Path, identity: Mapping[str, Any], offline: bool, project: str, config: Mapping[str, Any]
    ) -> None:
        from lightning.pytorch.loggers import WandbLogger

        wandb = _silent_wandb()
        words = [f"{key}:{identity[key]}"[:64] for key in ("paradigm", "task", "backbone", "strategy")]
        make = partial(
            WandbLogger, project=project, name=f"{identity['paradigm']}-{identity['split_seed']}", save_dir=folder,
            group=f"{identity['task']}/k{identity['k']}", job_type=identity["paradigm"], tags=words,
            config={**identity, "settings": dict(config), "environment": environment()}, reinit="create_new",
            settings=wandb.Settings(silent=True, console="off", init_timeout=WAIT_SECONDS, login_timeout=WAIT_SECONDS,
                                    finish_timeout=_patience(), finish_timeout_raises=True, x_save_requirements=False),
        )  # fmt: skip
        try:
            if not (offline or _logged_in()):
                raise LabError("nobody is logged in; `wandb login` does that")
            self._inner = make(mode="offline" if offline else "online")
            _ = self._inner.experiment
        except Exception as error:
            if offline:
                raise
            _warn(error, "goes on offline")
            self._inner = make(mode="offline")
            _ = self._inner.experiment

    @property
    def name(self) -> str:
        """Lightning asks for it."""
        return "wandb"

    @property
    def version(self) -> str:
        """Lightning asks for it."""
        return ""

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The W&B run, or None once logging has ended."""
        return None if self._inner is None else self._inner.experiment

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers."""
        self._guard(lambda: self._inner.log_metrics(metrics, step) if self._inner else None)

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: the configuration was logged when the run was opened."""

    @rank_zero_only
    def summarize(self, values: Mapping[str, Any]) -> None:
        """Write final figures where W&B's tables and dashboards read them."""
        self._guard(lambda: self._inner.experiment.summary.update(values) if self._inner else None)

    @rank_zero_only
    def table(self, name: str, columns: list[str], rows: list[list[Any]]) -> None:
        """Log a table."""
        self._guard(lambda: self._inner.log_table(name, columns=columns, data=rows) if self._inner else None)

    @rank_zero_only
    def finish(self, code: int = 0) -> None:
        """Close the run; it must be closed before another is opened in this process."""
        self._guard(lambda: self._inner.experiment.finish(code) if self._inner else None)
        self._inner = None

    def _guard(self, action: Callable[[], Any]) -> None:
        try:
            action()
        except Exception as error:
            _warn(error)
            self._close()

    def _close(self) -> None:
        """End a run that failed."""
        opened, self._inner = getattr(self._inner, "_experiment", None), None
        with suppress(Exception):
            if opened is not None:
                opened.finish(1)


class Prefixed(Logger):
    """Another logger, under names that begin with those of a stage: the curves of several fits do not overwrite each other."""

    def __init__(self, inner: Logger, prefix: str) -> None:
        super().__init__()
        self._inner, self._prefix = inner, prefix

    @property
    def name(self) -> str | None:
        """That of the other."""
        return self._inner.name

    @property
    def version(self) -> int | str | None:
        """That of the other."""
        return self._inner.version

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers."""
        self._inner.log_metrics({f"{self._prefix}/{name}": value for name, value in metrics.items()}, step)

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: the configuration was logged when the run was opened."""

    def save(self) -> None:
        """Write what is held back."""
        self._inner.save()


def _patience() -> float:
    try:
        return float(os.environ.get("WANDB_FINISH_TIMEOUT", FINISH_SECONDS))
    except ValueError:
        return FINISH_SECONDS


def _warn(error: Exception, consequence: str = "ends here") -> None:
    reason = str(error).strip().split("\n")[0]
    warnings.warn(
        f"W&B logging {consequence} ({type(error).__name__}: {reason}); the run and its record are not affected",
        stacklevel=2,
    )
