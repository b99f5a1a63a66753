"""A suite on a Ray cluster (Moritz et al. 2018): groups of cells are tasks, and what they write comes home as bytes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import ray
from ray.exceptions import RayError, RayTaskError

from prompt_lab.engines.setting import number
from prompt_lab.engines.work import Remote, Returned, environment, perform
from prompt_lab.errors import LabError, unknown
from prompt_lab.trees import Tree


@dataclass(frozen=True)
class Ray(Remote):
    """Runs groups of cells as tasks. A worker keeps its backbones loaded; a task whose worker is lost is given to another.

    The workers need this package, and the files that the suite names, in the same places; results need no shared disk.

    Attributes:
        address: of the cluster, such as ``auto`` or ``ray://head:10001``; by default a cluster on this machine is started.
        cpus: of each task.
        gpus: of each task, which may be a part of one; by default one where the cluster has any.
        retries: how often a task is given to another worker when its own is lost.
    """

    address: str | None = None
    cpus: float = 1.0
    gpus: float | None = None
    retries: int = 3

    @classmethod
    def of(cls, settings: Mapping[str, str]) -> Self:
        """From settings as text.

        Raises:
            LabError: one is unknown, or no number.
        """
        for name in settings:
            if name not in cls.__dataclass_fields__:
                raise unknown("setting of ray", name, list(cls.__dataclass_fields__))
        given: dict[str, Any] = {n: v if n == "address" else number(n, v) for n, v in settings.items()}
        return cls(**given)

    def results(self, groups: Sequence[Sequence[tuple[str, Tree]]]) -> Iterator[tuple[int, list[Returned] | LabError]]:
        """Have each group done; the number of a group and what came of it, as soon as it is there.

        A group that lost more workers than there are retries has failed.

        Raises:
            LabError: the cluster cannot be reached, or has not what a task needs.
        """
        if not groups:
            return
        self._join()
        cluster = ray.cluster_resources()
        gpus = self.gpus if self.gpus is not None else min(1.0, cluster.get("GPU", 0.0))
        if cluster.get("CPU", 0.0) < self.cpus or cluster.get("GPU", 0.0) < gpus:
            has = {name: int(cluster.get(name, 0)) for name in ("CPU", "GPU")}
            raise LabError(f"every task wants {self.cpus:g} CPUs and {gpus:g} GPUs, and the cluster has {has}")
        task = ray.remote(num_cpus=self.cpus, num_gpus=gpus, max_retries=int(self.retries))(perform)
        waiting = {task.remote(group): i for i, group in enumerate(groups)}
        try:
            while waiting:
                (ready,), _ = ray.wait(list(waiting))
                number = waiting.pop(ready)
                try:
                    yield number, ray.get(ready)
                except RayTaskError as error:
                    yield number, LabError(f"the task failed: {_last_line(error)}")
                except RayError as error:
                    yield number, LabError(f"its worker was lost {self.retries + 1} times: {_last_line(error)}")
        finally:
            for left in waiting:
                ray.cancel(left, force=True)

    def _join(self) -> None:
        if ray.is_initialized():
            return
        try:
            ray.init(
                address=self.address,
                runtime_env={"env_vars": environment()},
                log_to_driver=False,
                configure_logging=False,
                include_dashboard=False if self.address is None else None,
            )
        except (ConnectionError, RayError, ValueError, RuntimeError) as error:
            raise LabError(f"no Ray cluster at {self.address or 'this machine'}: {error}") from error


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1]
