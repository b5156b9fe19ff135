"""Models of the hub, against a server of this process that answers as the hub does."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from huggingface_hub import constants

from bench.verbs import convert
from bench.verbs.recording import checkpoint_ref
from pretrain.core.errors import CheckpointError
from pretrain.core.journal import Journal
from transfer import sources
from transfer.sources.addresses import hf, timm
from transfer.sources.addresses.located import Located

MODEL, COMMIT = "owner/name", "c" * 40
CONFIG = b'{"architecture": "resnet18"}'


def weights(seed: int = 0) -> bytes:
    """A ResNet-18 as a safetensors file."""
    return safetensors.torch.save(sources.load(f"random:resnet18:{seed}").state)


def find(address: str, told: list[str] | None = None) -> Located:
    return hf.find(address, Journal(progress=lambda text, *_: None if told is None else told.append(text)))


def theirs(tmp_path: Path, files: dict[str, bytes], commit: str = COMMIT) -> Path:
    """A model in the cache of the hub's own library."""
    folder = tmp_path / "hub" / "models--owner--name"
    for name, body in files.items():
        blob = folder / "blobs" / hashlib.sha256(body).hexdigest()
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(body)
        (folder / "snapshots" / commit).mkdir(parents=True, exist_ok=True)
        (folder / "snapshots" / commit / name).symlink_to(blob)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(commit)
    return folder


def test_safetensors_and_the_config_come_into_one_folder_and_nothing_else(web: Any) -> None:
    files = {"config.json": CONFIG, "model.safetensors": b"safe", "pytorch_model.bin": b"pickled", "README.md": b"words"}
    web.model(MODEL, files)
    located = find("hf:owner/name")
    assert located.path.read_bytes() == b"safe"
    assert located.path.with_name("config.json").read_bytes() == CONFIG
    assert sorted(each.name for each in located.path.parent.iterdir() if each.name[0] != ".") == [
        "config.json",
        "model.safetensors",
    ]
    assert located.origin is not None
    assert (located.origin.address, located.origin.revision) == ("hf:owner/name", COMMIT)


def test_shards_come_with_their_index(web: Any) -> None:
    state = sources.load("random:resnet18").state
    names = sorted(state)
    parts = {f"model-0000{i + 1}-of-00002.safetensors": names[i::2] for i in range(2)}
    files = {shard: safetensors.torch.save({name: state[name] for name in held}) for shard, held in parts.items()}
    index = {"weight_map": {name: shard for shard, held in parts.items() for name in held}}
    web.model(
        MODEL, {**files, "model.safetensors.index.json": json.dumps(index).encode(), "other-00001-of-00002.safetensors": b""}
    )
    backbone = sources.load("hf:owner/name")
    assert "joined of 2 shards" in backbone.why
    assert all(torch.equal(backbone.state[name], state[name]) for name in names)
    assert not any("other" in path for path, _ in web.asked)


def test_a_file_a_revision_and_timm_s_names(web: Any) -> None:
    web.model(MODEL, {"a.pth": b"a", "sub/b.pth": b"b", "sub/config.json": CONFIG}, revision="refs%2Fpr%2F1")
    located = find("hf:owner/name/sub/b.pth@refs/pr/1")
    assert (located.path.read_bytes(), located.path.with_name("config.json").read_bytes()) == (b"b", CONFIG)
    web.model("timm/resnet18.a1_in1k", {"model.safetensors": b"safe"})
    of_timm = timm.find("timm:resnet18.a1_in1k", Journal())
    assert of_timm.path.read_bytes() == b"safe"
    assert of_timm.origin is not None
    assert of_timm.origin.address == "timm:resnet18.a1_in1k"


def test_of_several_files_one_is_to_be_named(web: Any) -> None:
    web.model(MODEL, {"a.pth": b"a", "b.pth": b"b"})
    with pytest.raises(CheckpointError, match=r"owner/name has 2 files of weights(.|\n)*--ckpt hf:owner/name/a\.pth"):
        find("hf:owner/name")
    with pytest.raises(CheckpointError, match=r"unknown file of owner/name 'c\.pth'"):
        find("hf:owner/name/c.pth")
    web.model(MODEL, {"README.md": b"words"})
    with pytest.raises(CheckpointError, match="has no file of weights"):
        find("hf:owner/name")


def test_a_branch_that_moved_is_followed_and_a_commit_is_asked_for_once(web: Any) -> None:
    web.model(MODEL, {"model.safetensors": b"old"})
    find("hf:owner/name")
    web.model(MODEL, {"model.safetensors": b"new"}, commit="d" * 40)
    assert find("hf:owner/name").path.read_bytes() == b"new"
    web.asked.clear()
    assert find(f"hf:owner/name@{COMMIT}").path.read_bytes() == b"old"
    assert web.asked == []


def test_what_the_hub_s_library_fetched_is_not_fetched_again(web: Any, tmp_path: Path) -> None:
    web.model(MODEL, {"config.json": CONFIG, "model.safetensors": b"safe"})
    theirs(tmp_path, {"model.safetensors": b"safe"})
    located = find("hf:owner/name")
    assert (located.path.read_bytes(), located.path.with_name("config.json").read_bytes()) == (b"safe", CONFIG)
    assert not any("safetensors" in path for path, _ in web.asked)


def test_what_is_broken_in_the_library_s_cache_is_fetched(web: Any, tmp_path: Path) -> None:
    web.model(MODEL, {"model.safetensors": b"safe"})
    theirs(tmp_path, {"model.safetensors": b"lost"})
    assert find("hf:owner/name").path.read_bytes() == b"safe"


@pytest.mark.parametrize("how", ["refused", "offline", "busy"])
def test_without_the_hub_the_last_known_commit_is_taken_and_said(
    web: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    web.model(MODEL, {"model.safetensors": b"safe"})
    first = find("hf:owner/name")
    if how == "busy":
        web.give("/api/models/owner/name/revision/main?blobs=true", status=503)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", how == "offline")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9" if how == "refused" else web.address)
    told: list[str] = []
    found = find("hf:owner/name", told)
    assert (found.path, found.origin.revision if found.origin else None) == (first.path, COMMIT)
    assert "the copy in the cache: the hub was not asked" in told[0]


def test_offline_the_library_s_cache_is_enough(web: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs(tmp_path, {"config.json": CONFIG, "model.safetensors": b"safe"})
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    located = find("hf:owner/name")
    assert (located.path.read_bytes(), located.path.with_name("config.json").read_bytes()) == (b"safe", CONFIG)
    assert web.asked == []


def test_offline_without_a_copy_is_one_message(web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match=r"can't fetch hf:owner/name(.|\n)*HF_HUB_OFFLINE is set(.|\n)*hf download"):
        find("hf:owner/name")
    assert web.asked == []


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (401, "RepoNotFound", "no such model"),
        (404, "", "no such model"),
        (404, "RevisionNotFound", "no revision main"),
        (401, "GatedRepo", "asked for access"),
        (403, "", "asked for access"),
        (500, "", "can't answer now"),
    ],
)
def test_the_hub_s_refusals_are_explained(web: Any, status: int, code: str, words: str) -> None:
    web.give("/api/models/owner/name/revision/main?blobs=true", status=status, headers={"X-Error-Code": code})
    with pytest.raises(CheckpointError, match=rf"can't fetch hf:owner/name(.|\n)*{words}"):
        find("hf:owner/name")


@pytest.mark.parametrize("answer", [b"<html>log in</html>", b"{}", b'{"sha": "../..", "siblings": []}', b"[" * 10**5])
def test_an_answer_of_no_hub_is_refused(web: Any, answer: bytes) -> None:
    web.give("/api/models/owner/name/revision/main?blobs=true", answer)
    with pytest.raises(CheckpointError, match="HF_ENDPOINT"):
        find("hf:owner/name")


def test_a_name_that_leaves_the_folder_is_refused(web: Any, tmp_path: Path) -> None:
    web.model(MODEL, {"../../../x.pth": b"bad"})
    with pytest.raises(CheckpointError, match="a file's name that the hub can't have"):
        find("hf:owner/name")


def test_weights_that_are_not_what_the_hub_lists_are_refused(web: Any) -> None:
    web.model(MODEL, {"model.safetensors": b"safe"})
    web.give(f"/owner/name/resolve/{COMMIT}/model.safetensors", b"evil")
    with pytest.raises(CheckpointError, match="gave another file"):
        find("hf:owner/name")


def test_the_token_is_told_to_the_hub_alone(web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    web.model(MODEL, {"model.safetensors": b"safe"})
    elsewhere = web.give("/cdn", b"safe").replace("127.0.0.1", "localhost")
    web.give(f"/owner/name/resolve/{COMMIT}/model.safetensors", status=302, headers={"Location": elsewhere})
    assert find("hf:owner/name").path.read_bytes() == b"safe"
    assert web.secrets["/api/models/owner/name/revision/main?blobs=true"] == "Bearer hf_secret"
    assert web.secrets["/cdn"] is None


@pytest.mark.parametrize("address", ["hf:name", "hf:owner/../name", "hf:owner/name@", "hf:owner//name", "timm:a/b.c/d"])
def test_a_name_of_no_model_is_refused(address: str) -> None:
    with pytest.raises(CheckpointError, match=r"not a model of the hub|no name of timm's weights|takes no address"):
        sources.load(address)


def test_the_config_of_a_model_decides_as_in_a_local_folder(web: Any) -> None:
    config = {"architecture": "resnet18", "pretrained_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}}
    web.model("timm/resnet18.a1_in1k", {"model.safetensors": weights(), "config.json": json.dumps(config).encode()})
    backbone = sources.load("timm:resnet18.a1_in1k")
    assert backbone.recipe.seen.mean == (0.5, 0.5, 0.5)
    web.model(MODEL, {"model.safetensors": weights(), "config.json": json.dumps({"architecture": "resnetaa18"}).encode()})
    with pytest.raises(CheckpointError, match="resnetaa18"):
        sources.load("hf:owner/name")


def test_records_and_conversions_say_where_a_backbone_came_from(web: Any, tmp_path: Path) -> None:
    body = weights()
    web.model(MODEL, {"model.safetensors": body})
    backbone = sources.load("hf:owner/name")
    record = checkpoint_ref(backbone)
    assert (record.address, record.revision, record.sha256) == ("hf:owner/name", COMMIT, hashlib.sha256(body).hexdigest())
    assert record.provenance.data == "unknown (hf:owner/name)"
    assert f"from hf:owner/name at commit {COMMIT}; sha256 {record.sha256}" in backbone.summary()
    local = tmp_path / "local.safetensors"
    local.write_bytes(body)
    mine = checkpoint_ref(sources.load(str(local)))
    assert (mine.address, mine.revision, mine.sha256) == (None, None, record.sha256)
    done = convert.run("hf:owner/name", "torchvision", tmp_path / "out.pth", lambda *_: None)
    about = json.loads(done.about.read_text())["source"]
    assert (about["checkpoint"], about["revision"], about["sha256"]) == ("hf:owner/name", COMMIT, record.sha256)
