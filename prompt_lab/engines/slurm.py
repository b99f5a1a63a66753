"""A suite as jobs of SLURM, through submitit; where there is no SLURM, as processes of this machine."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import submitit

from prompt_lab.engines.setting import number
from prompt_lab.engines.work import Remote, Returned, perform
from prompt_lab.errors import LabError
from prompt_lab.trees import Tree

SECONDS = 1.0
"""How long between two looks at the jobs."""


@dataclass(frozen=True)
class Slurm(Remote):
    """Runs every group of cells as a job of an array. The nodes share this machine's disk.

    Attributes:
        folder: where jobs, their output and their results are kept until they are fetched.
        cluster: ``slurm``, or ``local`` for processes of this machine; found out by default.
        job: what a job asks for, by submitit's names: ``timeout_min``, ``slurm_partition``, ``gpus_per_node``, ``mem_gb`` and so on.
    """

    folder: Path = Path(".submitit")
    cluster: str | None = None
    job: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Mapping[str, str]) -> Self:
        """From settings as text; all but ``folder`` and ``cluster`` are what a job asks for."""
        own = {"folder", "cluster"}
        job = {n: number(n, v) if v.replace(".", "", 1).isdigit() else v for n, v in settings.items() if n not in own}
        folder = Path(settings.get("folder", cls.folder))
        return cls(folder, settings.get("cluster"), job)

    def results(self, groups: Sequence[Sequence[tuple[str, Tree]]]) -> Iterator[tuple[int, list[Returned] | LabError]]:
        """Have each group done; the number of a group and what came of it, as soon as it is there.

        A group whose job ended without a result has failed.

        Raises:
            LabError: SLURM refuses the jobs.
        """
        if not groups:
            return
        try:
            executor = submitit.AutoExecutor(self.folder, cluster=self.cluster)
            executor.update_parameters(**{"name": "prompt-lab", **self.job})
            jobs = executor.map_array(perform, list(groups))
        except (TypeError, NameError, RuntimeError, submitit.core.utils.FailedJobError) as error:
            raise LabError(f"the jobs cannot be submitted: {error}") from error
        waiting = dict(enumerate(jobs))
        try:
            while waiting:
                for i in [i for i, job in waiting.items() if job.done()]:
                    yield i, _result(waiting.pop(i))
                time.sleep(SECONDS * bool(waiting))
        finally:
            for job in waiting.values():
                job.cancel()


def _result(job: "submitit.Job[list[Returned]]") -> list[Returned] | LabError:
    try:
        return job.result()
    except (submitit.core.utils.UncompletedJobError, submitit.core.utils.FailedJobError) as error:
        last = str(error).strip().splitlines()[-1]
        return LabError(f"job {job.job_id} ended without a result ({last}); what it said stands in {job.paths.stderr}")
