"""What has become of the jobs that cells were given to: in the queue, cancelled by a person, or gone without a word."""

from dataclasses import dataclass, field
from typing import Literal

from bench.study import attempts
from bench.study.attempts import Attempt, Attempts
from bench.study.slurm import job, queue
from bench.study.slurm.queue import Job, Queue


@dataclass(frozen=True)
class Standing:
    """What the queue and a cell's attempts say of its job."""

    is_: Literal["free", "with a job", "cancelled", "lost"]
    """`with a job`, also where nobody can say."""
    job: Job | None = None
    """If it is in the queue."""
    why: str = ""
    attempt: Attempt | None = None
    """Of a lost job: how it ended."""


FREE = Standing("free")


@dataclass
class Owners:
    """The jobs of one study's cells. `look` asks the queue; the answers are of that moment."""

    attempts: Attempts
    besides: str | None = None
    """Id of a job that counts as gone: this process itself, when it leaves."""
    queue: Queue = field(default_factory=Queue)
    _again: Queue | None = None

    def look(self) -> None:
        """Ask the queue."""
        self.queue, self._again = queue.look(self.attempts.home, self.besides), None

    def of(self, cell: str, *, attempted: bool) -> Standing:
        """Say what has become of the job of a cell that no process holds.

        Args:
            cell: Its id.
            attempted: Whether there may be lines of attempts.
        """
        found = self.queue.cells.get(cell)
        if found is not None:
            return Standing("with a job", found)
        last = self.attempts.owner(cell) if attempted else None
        if last is None:
            return FREE
        if last.job == self.besides:
            return FREE
        if self.queue.unknown:
            return Standing("with a job", why=f"job {last.job} may have it: {self.queue.unknown}")
        if last.job in self.queue.jobs:
            return Standing("with a job", self.queue.jobs[last.job])
        if last.job in self._asked_again().jobs or self.attempts.owner(cell) != last:
            return Standing("with a job")  # it is moving just now
        return self._gone(last)

    def _gone(self, last: Attempt) -> Standing:
        """Tell a job that a person cancelled from one that ended otherwise, by its attempt's last line and by its log."""
        log = job.log(self.attempts.home, last.job)
        unsaid = last.ended == "begun" or (last.ended == "submitted" and log.exists())
        if unsaid and job.cancelled(log) != "":
            why = f"job {last.job} ended without a word: it was killed, or its node went away; see {log}"
            return Standing("lost", attempt=Attempt("fault", "Lost", why, host=last.host, at=attempts.now(), job=last.job))
        return Standing("cancelled", why=f"job {last.job} was cancelled; `bench study retry` lets `run` submit it again")

    def _asked_again(self) -> Queue:
        """The queue after the attempts were read: a job may have begun and ended between the first look and that."""
        if self._again is None:
            self._again = queue.look(self.attempts.home, self.besides)
            if self._again.unknown:
                self._again = self.queue  # nobody is cancelled for a controller that restarts: see `of`
        return self._again
