"""What has become of every cell: derived from records, locks and attempts at each look, and stored nowhere."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from bench.runs import lock
from bench.study import records
from bench.study.attempts import Attempt, Attempts
from bench.study.cells import CONVERT, Cell, Subject, backbone_name
from bench.study.conversions import is_done, missing_anchor
from bench.study.data import DataHere
from bench.study.evaluations import missing
from bench.study.plan import StudyPlan
from bench.study.records import Found, Records
from bench.study.slurm.owners import FREE, Owners
from bench.study.slurm.queue import Job


class State(StrEnum):
    """What has become of a cell."""

    DONE = "done"
    RUNNING = "running"
    READY = "ready"
    WAITING = "waiting"
    """For its backbone."""
    FAILED = "failed"
    IMPOSSIBLE = "impossible"


ENDED = frozenset({State.DONE, State.FAILED, State.IMPOSSIBLE})
"""States from which a cell doesn't move by itself."""


_WHAT = {"pretrain": "pre-training", CONVERT: "conversion"}
"""Kind of a cell that makes a backbone → what messages call it."""


@dataclass(frozen=True)
class Look:
    """The states at one moment."""

    plan: StudyPlan
    states: Mapping[str, State]
    found: Mapping[str, list[Found]]
    """Records of the cells that are done."""
    why: Mapping[str, str]
    """Of failed and impossible cells, what is wrong."""
    checkpoints: Mapping[str, str]
    """Of evaluations that are ready, where their backbone lies."""
    jobs: Mapping[str, Job] = field(default_factory=dict)
    """Of cells that are in a cluster's queue, their job."""
    lost: Mapping[str, Attempt] = field(default_factory=dict)
    """Of cells whose job ended without a word: how, which is noted nowhere yet."""

    def having(self, *states: State) -> list[Cell]:
        """Return the cells in some states, in the order of the file."""
        return [cell for key, cell in self.plan.cells.items() if self.states[key] in states]

    def counts(self) -> Counter[State]:
        """Count the cells by state."""
        return Counter(self.states.values())

    def folder(self, cell: Cell) -> Path:
        """Return the folder in which a cell that is done was done."""
        return self.found[cell.id][0].folder if cell.id in self.found else cell.folder

    def line(self, cell: Cell) -> str:
        """Return a cell's command."""
        return cell.line(self.checkpoints.get(cell.id))


@dataclass
class Observer:
    """Looks at a study's cells, again and again; what doesn't change is read once."""

    records: Records
    attempts: Attempts
    owners: Owners | None
    """Asks a cluster's queue; None: nobody is asked."""
    data: DataHere = field(default_factory=DataHere)

    @classmethod
    def of(cls, plan: StudyPlan, elsewhere: Collection[Path] = (), *, job: str = "", leaving: bool = False) -> "Observer":
        """Make one that looks into the study's runs, and into folders of elsewhere.

        Args:
            plan: The study.
            elsewhere: Further folders with records.
            job: Id of the cluster's job that this process is: it asks the queue only when it leaves.
            leaving: Whether it does: then its own place in the queue counts as free.
        """
        attempts = Attempts(plan.home, job)
        owners = None if job and not leaving else Owners(attempts, job or None)
        return cls(Records((Path(plan.study.runs), *elsewhere)), attempts, owners)

    def unasked(self, cell: str) -> bool:
        """Return whether a cell is only taken for running because its job's cluster could not be asked."""
        asked = self.owners is None or not self.owners.queue.unknown
        return not asked and self.attempts.owner(cell) is not None and not self.attempts.held(cell)

    def look(self, plan: StudyPlan, mine: Collection[str] = ()) -> Look:
        """Derive the states of all cells.

        Args:
            plan: The study.
            mine: Ids of the cells that this process attempts.
        """
        if self.owners is not None:
            self.owners.look()
        self.records.look()
        return _Looking(self, plan, frozenset(mine)).look()


class _Looking:
    """One look."""

    def __init__(self, observer: Observer, plan: StudyPlan, mine: frozenset[str]) -> None:
        self.observer, self.plan, self.mine = observer, plan, mine
        self.attempted = observer.attempts.known()
        self.states: dict[str, State] = {}
        self.found: dict[str, list[Found]] = {}
        self.why: dict[str, str] = {}
        self.checkpoints: dict[str, str] = {}
        self.jobs: dict[str, Job] = {}
        self.lost: dict[str, Attempt] = {}

    def look(self) -> Look:
        for cell in self.plan.cells.values():  # what others need comes before them
            self.states[cell.id] = self._state(cell)
        return Look(self.plan, self.states, self.found, self.why, self.checkpoints, self.jobs, self.lost)

    def _state(self, cell: Cell) -> State:
        return State.DONE if self._done(cell) else self._undone(cell)

    def _undone(self, cell: Cell) -> State:
        if cell.id in self.mine or self._held(cell):
            return State.RUNNING
        owned = self._owned(cell)
        if owned is not None:
            return owned
        if cell.id in self.attempted:
            lost = [self.lost[cell.id]] if cell.id in self.lost else []
            failure = self.observer.attempts.failure(cell.id, self.plan.study.retries, *lost)
            if failure is not None:
                self.why[cell.id] = failure.message or failure.error
                return State.FAILED
        state = State.READY if cell.subject is None else self._of(cell, cell.subject)
        if state is State.READY and self.observer.records.known(cell.folder):
            held = "the record of another run, of other data or backbone; move it away"
            if cell.id in self.found:  # evaluations of the backbone that is gone count by this record
                held = "its record, and not its backbone; move it into a folder that --found names"
            self.why[cell.id] = f"its run folder holds {held}\n{cell.folder}"
            return State.IMPOSSIBLE
        return state

    def _done(self, cell: Cell) -> bool:
        """Return whether a cell is done: by its records, which are noted; a conversion by its file."""
        if cell.kind == CONVERT and cell.subject is not None:
            return is_done(cell, self._made(cell.subject) or cell.subject.checkpoint)
        found = self._records(cell)
        if found:
            self.found[cell.id] = found
        return bool(found)

    def _owned(self, cell: Cell) -> State | None:
        """The state of a cell that was given to a cluster's job, by what has become of that; None if it is free."""
        owners = self.observer.owners
        standing = FREE if owners is None else owners.of(cell.id, attempted=cell.id in self.attempted)
        if standing.why:
            self.why[cell.id] = standing.why
        if standing.job is not None:
            self.jobs[cell.id] = standing.job
        if standing.attempt is not None:
            self.lost[cell.id] = standing.attempt
        return {"with a job": State.RUNNING, "cancelled": State.FAILED}.get(standing.is_)

    def _held(self, cell: Cell) -> bool:
        folders = [cell.folder] if cell.folder.is_dir() else []
        folders += [self.observer.attempts.folder(cell.id)] if cell.id in self.attempted else []
        return any(lock.is_held(folder) for folder in folders)

    def _of(self, cell: Cell, subject: Subject) -> State:
        """The state of an evaluation that is not done, by that of its backbone."""
        if subject.pretraining is None:
            wrong = missing(subject)
            if wrong is None:
                return self._ready(cell)
            self.why[cell.id] = "\n".join(filter(None, [wrong.wrong, subject.hint]))
            return State.IMPOSSIBLE
        there = self._made(subject)
        if there is not None:
            self.checkpoints[cell.id] = there
            return self._ready(cell)
        return self._without(cell, subject, self.plan.cells[subject.pretraining], self.states[subject.pretraining])

    def _ready(self, cell: Cell) -> State:
        """The state of what is not done and whose backbone is there: a conversion needs its anchor, too."""
        wrong = missing_anchor(cell) if cell.kind == CONVERT else None
        if wrong is None:
            return State.READY
        self.why[cell.id] = wrong.wrong
        return State.IMPOSSIBLE

    def _made(self, subject: Subject) -> str | None:
        """Where a backbone that a cell makes lies; None where it isn't there, or is made elsewhere."""
        if subject.pretraining is None:
            return None
        made = [Path(subject.checkpoint)] if subject.epoch is not None else []
        if self.states[subject.pretraining] is State.DONE:
            pretraining = self.plan.cells[subject.pretraining]
            folders = [each.folder for each in self.found.get(subject.pretraining, ())] or [pretraining.folder]
            made += [folder / backbone_name(subject.epoch) for folder in folders]
        return next((str(path) for path in made if path.is_file()), None)

    def _without(self, cell: Cell, subject: Subject, pretraining: Cell, state: State) -> State:
        """The state of an evaluation whose backbone is not there: where the study remakes it, its pre-training isn't done."""
        if state is State.DONE and self.plan.study.remake:
            state = self.states[pretraining.id] = self._undone(pretraining)
        if state in (State.FAILED, State.IMPOSSIBLE):
            ended = "failed" if state is State.FAILED else "is impossible"
            self.why[cell.id] = f"its {_WHAT[pretraining.kind]} {ended}\n{pretraining.folder.name}"
        elif state is State.DONE:
            folder = self.found[pretraining.id][0].folder if pretraining.id in self.found else pretraining.folder
            name = backbone_name(subject.epoch)
            self.why[cell.id] = (
                f"its {_WHAT[pretraining.kind]} is done and {name} is not there; put it there, drop the evaluation, "
                f"or pre-train again with `remake: true`\n{folder}"
            )
        else:
            return State.WAITING
        return State.IMPOSSIBLE

    def _records(self, cell: Cell) -> list[Found]:
        """The records of a cell: of its protocol, its backbone and its data."""
        seen = self.observer.records
        if not seen.any(cell.protocol):
            return []
        candidates = seen.of(cell.protocol) if cell.subject is None else self._of_backbone(cell.protocol, cell.subject)
        return [each for each in candidates if each.folder == cell.folder or self.observer.data.same(cell, each)]

    def _of_backbone(self, protocol: str, subject: Subject) -> list[Found]:
        """The records of a protocol and a backbone, by its digest or address: the same pre-training may have been done more
        than once. Of a backbone on the way whose file is not here, by where it came from.
        """
        seen = self.observer.records
        if subject.pretraining is None or self.plan.cells[subject.pretraining].kind == CONVERT:
            return seen.of(protocol, [records.sha256(Path(subject.checkpoint)) or subject.key])
        made = self.found.get(subject.pretraining, [])
        if subject.epoch is None:
            return seen.of(protocol, [each.sha256 for each in made])
        folders = dict.fromkeys([Path(subject.checkpoint).parent, *(each.folder for each in made)])
        digests = [found for folder in folders if (found := records.sha256(folder / backbone_name(subject.epoch)))]
        if digests:
            return seen.of(protocol, digests)
        came = {each.came for each in made}
        return [each for each in seen.of(protocol) if each.came in came and each.epochs == subject.epoch]
