"""`bench card`: write a backbone's model card; with `--hub`, a folder for the Hugging Face hub that timm loads by itself."""

import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.options import READING, Reading
from bench.report.gather import RESULT, Problem, read, require_there
from bench.verbs.convert import about
from bench.verbs.recording import checkpoint_ref, introduce
from pretrain.core.errors import ConfigError
from pretrain.core.journal import Journal, Progress
from pretrain.core.machine_errors import translating_os_errors
from pretrain.train import BACKBONE
from transfer import convert, timm_folder
from transfer.board.entries import Entry
from transfer.sources import Backbone

README = "README.md"


@dataclass(frozen=True)
class Written:
    """What was written for the hub."""

    folder: Path
    files: tuple[str, ...]
    """Names of the files that are new or other than before."""
    problems: tuple[Problem, ...]
    """Records that could not be read."""

    @property
    def upload(self) -> str:
        """Return the command that uploads it, which is the user's to give."""
        return f"hf upload OWNER/NAME {shlex.quote(str(self.folder))}"


def for_hub(
    checkpoint: str,
    folder: Path,
    runs: Sequence[Path],
    progress: Progress,
    *,
    license_id: str | None = None,
    overwrite: bool = False,
    reading: Reading = READING,
) -> Written:
    """Write a backbone's model card, weights and configuration into a folder.

    Args:
        checkpoint: The folder of a pre-training, or what `transfer.sources.load` takes.
        folder: New, or one whose other files stay as they are.
        runs: Folders of runs: what was measured on the backbone, and the pre-training that made it.
        progress: Called with every line about the checkpoint.
        license_id: As the hub names it; None: the user fills it in.
        overwrite: Whether files of those names that differ are replaced.
        reading: How to read the checkpoint.

    Raises:
        CheckpointError: If timm can't be told how the backbone is built.
        ConfigError: If a file that is there would be overwritten.
        BenchError: For whatever else is wrong with the input, before anything is written.
    """
    journal = Journal(progress=progress)
    run = Path(checkpoint) if (Path(checkpoint) / RESULT).is_file() else None
    backbone = reading.load(str(run / BACKBONE) if run else checkpoint, journal)
    introduce(backbone, journal)
    entries, problems = _records([*([run] if run else []), *runs])
    files = _content(backbone, checkpoint, entries, license_id)
    changed = _changed(folder, files, overwrite)
    _write(folder, {name: files[name] for name in changed}, files, backbone)
    return Written(folder, changed, problems)


def _records(folders: Sequence[Path]) -> tuple[tuple[Entry, ...], tuple[Problem, ...]]:
    """Read the records that there are, and what could not be read; that there is none is no mistake here."""
    require_there(folders)
    entries, problems = read(folders)
    return entries, tuple(problem for problem in problems if problem.path.name == RESULT)


def _content(backbone: Backbone, checkpoint: str, entries: Sequence[Entry], license_id: str | None) -> dict[str, bytes]:
    """Make every file: name → content."""
    from bench.report import hub_card
    from bench.report.card import measured

    of, files = checkpoint_ref(backbone), timm_folder.files(backbone)
    made = next((each.record for each in measured(of, entries) if each.record.kind == "pretrain"), None)
    text = hub_card.render(of, made, entries, timm_folder.config(backbone), license_id)
    said = about(timm_folder.WEIGHTS, files[timm_folder.WEIGHTS], "timm", backbone, checkpoint)
    return files | {f"{timm_folder.WEIGHTS}.json": convert.encoded_about(said), README: text.encode()}


def _changed(folder: Path, files: Mapping[str, bytes], overwrite: bool) -> tuple[str, ...]:
    """Name the files that are new or differ from those that are there."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError("--hub names a file", seen=folder, allowed="a folder, new or not", fix="choose another --hub")
    there = {name: (folder / name).read_bytes() for name in files if (folder / name).is_file()}
    differ = [name for name in there if there[name] != files[name]]
    if differ and not overwrite:
        raise ConfigError(
            f"{folder} holds other files of those names, perhaps with changes of yours",
            seen=", ".join(differ),
            allowed="a new folder, or files that are the same",
            fix="--overwrite replaces them, or choose another --hub",
        )
    return tuple(name for name in files if there.get(name) != files[name])


def _write(folder: Path, changed: Mapping[str, bytes], files: Mapping[str, bytes], backbone: Backbone) -> None:
    """Let timm load what will be there, and then put it there."""
    with translating_os_errors("write the folder", folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".hub-", dir=folder) as trial:
            for name, content in files.items():
                (Path(trial) / name).write_bytes(content)
            timm_folder.prove_loads(Path(trial), backbone)
    for name, content in changed.items():
        convert.write(folder / name, content)
