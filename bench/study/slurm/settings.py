"""What a study file tells Slurm: `slurm:` for all jobs, and in an entry of `resources` for those of its cells."""

from typing import Self

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator

from bench.study.times import Span
from pretrain.core.settings import Settings

OURS = frozenset(
    {"--array", "-a", "--job-name", "-J", "--comment", "--output", "-o", "--error", "-e", "--dependency", "-d", "--signal"}
    | {"--nodes", "-N", "--ntasks", "-n", "--ntasks-per-node", "--wrap", "--parsable", "--no-requeue"}
)
"""Options of sbatch on which what is done here rests."""
CPUS = "none"
"""As `gres`: devices are processes on CPUs."""


class Job(Settings):
    """What a job is asked for."""

    partition: str | None = None
    """As `sbatch --partition`."""
    account: str | None = None
    """As `sbatch --account`."""
    qos: str | None = None
    """As `sbatch --qos`."""
    gres: str | None = Field(None, pattern=r"[\w:.-]+")
    """What a device is: gpu, or gpu:a100; `none`: processes on CPUs."""
    extra: list[str] = []
    """Further options of sbatch, such as --constraint=a100."""

    @field_validator("extra")
    @classmethod
    def _options(cls, extra: list[str]) -> list[str]:
        for option in extra:
            if not option.startswith("-"):
                raise ValueError(f"{option!r} is no option of sbatch: write it as --constraint=a100")
            if option.partition("=")[0] in OURS:
                raise ValueError(f"{option!r} is said by the study itself")
        return extra

    def over(self, other: "Job") -> "Job":
        """Return another one with what is said here in the place of its own."""
        return Job(**{**{name: getattr(other, name) for name in Job.model_fields}, **self.model_dump(exclude_unset=True)})


class Slurm(Job):
    """What all jobs of a study are asked for, and how they are made of cells."""

    time: Span | None = None
    """Longest time of a job, such as 24h; None: the partition's. A longer run goes on in the next job."""
    save: PositiveInt = 300
    """Seconds before its end at which a job lets its cell save and stop."""
    jobs: PositiveInt | None = None
    """Jobs in the queue at most, those that run included; None: one for every cell that is ready."""
    bundle: NonNegativeInt = 1800
    """Evaluations of one backbone are one job up to so many estimated seconds; 0: each is its own."""
    setup: list[str] = []
    """Lines of the shell before a cell is started, such as `module load cuda`."""
    stage: dict[str, str] = {}
    """Data, as `data` names it → folder of the node that it is copied into once, such as $TMPDIR."""

    def of(self, job: Job) -> Self:
        """Return what the jobs of some cells are asked for."""
        return self.model_copy(update=job.over(self).model_dump())
