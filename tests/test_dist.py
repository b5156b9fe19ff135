"""What `make dist` builds: installed where no checkout is, it works from an empty folder."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from PIL import Image

import bench

HOME = Path(__file__).resolve().parents[1]


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Run a command and return what it printed; its errors are the test's."""
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def image_folder(root: Path) -> Path:
    """Make sixteen images of two colours, half of them to validate on."""
    for part in ("train", "val"):
        for number in range(8):
            path = root / part / ("red", "blue")[number % 2] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (40, 40), ((200, 9 * number, 0), (0, 9 * number, 200))[number % 2]).save(path)
    return root


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from the source archive, so that what the archive lacks fails here."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, HOME, cwd=folder)
    assert [path.name for path in folder.glob("*.tar.gz")] == [f"bench_transfer-{bench.__version__}.tar.gz"]
    (found,) = folder.glob("*.whl")
    return found


def test_the_wheel_has_types_licence_configurations_and_published_numbers(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in ("bench/py.typed", "pretrain/py.typed", "transfer/py.typed", "bench/_published/papers.csv"):
        assert wanted in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    shipped = {Path(name).name for name in names if name.startswith("bench/_configs/pretrain/")}
    assert shipped == {path.name for path in (HOME / "configs/pretrain").glob("*.yaml")}
    assert not [name for name in names if name.startswith(("tests/", "docs/", "results/"))]


def test_the_wheel_runs_from_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    """Dependencies are those of this environment; the project itself is seen only as the wheel that was installed."""
    venv.create(tmp_path / "venv", symlinks=True)
    python = tmp_path / "venv/bin/python"
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel)
    run(*pip, cwd=tmp_path, PYTHONPATH="")
    empty = tmp_path / "empty"
    empty.mkdir()
    (site,) = (tmp_path / "venv/lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))  # its own .pth, of the checkout, isn't read
    around = {"PYTHONPATH": "", "BENCH_CACHE": str(tmp_path / "cache")}
    place = run(python, "-c", "import bench, pretrain, transfer; print(bench.__file__)", cwd=empty, **around)
    assert Path(place.strip()).is_relative_to(tmp_path / "venv")
    command = tmp_path / "venv/bin/bench"
    assert bench.__version__ in run(command, "--version", cwd=empty, **around)
    photos = image_folder(tmp_path / "photos")
    settings = ("size=32", "batch=8", "queue=16", "epochs=1", "num_workers=0")
    options = [word for setting in settings for word in ("--set", setting)]
    run(command, "pretrain", "--data", photos, "--aug", "cutmix", "--budget", "small", *options, cwd=empty, **around)
    (backbone,) = empty.glob("runs/*/backbone.pth")
    task = ("--task", "knn", "--data", photos, "--budget", "small", "--ckpt", backbone, "--set", "neighbours=3")
    run(command, "transfer", *task, cwd=empty, **around)
    run(command, "report", cwd=empty, **around)
    assert (empty / "leaderboard.html").is_file()
    assert "knn" in run(python, "-c", "from bench import api; print(*api.leaderboard('runs').metric)", cwd=empty, **around)
