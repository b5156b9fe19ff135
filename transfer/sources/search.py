"""Finding a backbone that no line of the table declares: every mapping of a file, every prefix, every naming is tried.

An example: a Lightning module that keeps its network as `self.model` saves `{"state_dict": {"model.conv1.weight": ...}}`. No
code base of the table does so, yet below `model.` in `state_dict` lies a whole ResNet, and nothing else in the file does.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, permutations
from pathlib import Path

import torch
from torch import Tensor

from pretrain import backbones
from pretrain.backbones import Architecture, shapes_of
from pretrain.core.errors import CheckpointError
from transfer.sources import files
from transfer.sources.architecture import Fit, misfit, nearest
from transfer.sources.backbone import Branch, without_wrappers
from transfer.sources.codebases import SOURCES
from transfer.sources.found import Found
from transfer.sources.levels import ENOUGH, File, Level, Trunk, renamed
from transfer.sources.namings import NAMINGS, Names
from transfer.sources.refusals import nothing_recognised

PLAIN = "plain"
"""The source of what was found by its tensors alone."""


@dataclass(frozen=True)
class Place:
    """Tensors of one mapping, below one prefix, that look like a trunk."""

    steps: str
    """Keys, joined by `/`, that lead to the mapping."""
    prefix: str
    """What stands before the canonical names there, without wrappers."""
    level: Level
    trunk: Trunk
    fit: Fit

    @property
    def whole(self) -> bool:
        """Return whether the trunk lacks nothing."""
        return not self.fit.amiss

    @property
    def stranger(self) -> bool:
        """Return whether it is another network, which shares some names: without a stem, and with too few of the others."""
        missing = self.fit.expected.keys() - self.trunk.keys()
        return backbones.get(self.fit.name).first in missing and len(missing) > len(self.fit.expected) / 3

    @property
    def family(self) -> str:
        """Family of the nearest architecture."""
        return backbones.get(self.fit.name).family

    @property
    def title(self) -> str:
        """Say where it lies, by the file's own names: `module.encoder. in state_dict`."""
        level, own = self.steps or "the top level", self.own_prefix
        return f"below {own} in {level}" if own else f"at the top of {level}" if self.steps else "at the top level"

    @property
    def own_prefix(self) -> str:
        """The prefix as the file has it, with wrappers."""
        key = next((self.trunk[each.first][0] for each in backbones.every() if each.first in self.trunk), None)
        key = key or next(iter(self.trunk.values()))[0]
        return self.level.own[key].removesuffix(key.removeprefix(self.prefix))

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Canonical names → tensors."""
        return {name: tensor for name, (_, tensor) in self.trunk.items()}

    def called(self, prefix: str) -> bool:
        """Tell whether a user's words name this place: a prefix, or keys and a prefix joined by `/`, wrappers or not."""
        wanted = _bare(prefix)
        return wanted in {_bare(self.prefix), _bare(f"{self.steps}/{self.prefix}"), _bare(f"{self.steps}.{self.prefix}")}


def search(file: File, path: Path, *, prefix: str | None = None, branch: str | None = None) -> Found:
    """Find the one whole backbone in a file.

    Args:
        file: What it holds.
        path: The file, for messages.
        prefix: Where it lies, as the user says.
        branch: `online` or `momentum`, where a file holds a pair that a code base of the table names so.

    Raises:
        CheckpointError: If none is whole, with the nearest and what it lacks or is; if several are, with a list of them.
    """
    places = list(_places(file))
    alone = len(_equals([place for place in places if place.whole])) == 1
    if prefix is not None:
        named = [place for place in places if place.called(prefix)]
        if not named:
            raise _not_there(path, prefix, [place for place in places if place.whole] or places)
        places = named
    else:
        places = [place for place in places if place.family in _families(file, place)]
    whole = [place for place in places if place.whole]
    if not whole:
        raise _none(file, path, places)
    groups = _equals(whole)
    chosen, branches = _chosen(groups, branch)
    if chosen is None:
        raise _several(path, groups)
    if branch == "momentum" and not branches and _branch(chosen) != "momentum":
        raise _no_momentum(path, chosen)
    return _found(file, chosen, next(group for group in groups if chosen in group), branches, alone=alone)


def _places(file: File) -> Iterator[Place]:
    """Yield what looks like a trunk, each set of tensors once, below the longest prefix that holds all of it."""
    families = {each.family: each for each in backbones.every()}.values()
    for steps in list(file.everywhere()):
        level = file.level(f"{steps}:")
        seen: dict[frozenset[str], Place] = {}
        for names in NAMINGS:
            for family in families:
                for prefix in _prefixes(level, names, family):
                    trunk = file.parts(f"{steps}:{prefix}", names, family)
                    place = Place(steps, prefix, level, trunk, nearest(shapes_of({k: t for k, (_, t) in trunk.items()})))
                    keys = frozenset(key for key, _ in trunk.values())
                    if keys not in seen or len(seen[keys].prefix) < len(prefix):
                        seen[keys] = place
        yield from seen.values()


def _prefixes(level: Level, names: Names, family: Architecture) -> list[str]:
    """List the prefixes below which a mapping has enough names of a family."""
    counts: Counter[str] = Counter()
    for key in level.tensors:
        words = key.split(".")
        for at in range(len(words)):
            name = renamed(".".join(words[at:]), names)
            if name is not None and family.names.fullmatch(name):
                counts["".join(f"{word}." for word in words[:at])] += 1
    return [prefix for prefix, count in counts.items() if count >= ENOUGH]


def _families(file: File, place: Place) -> tuple[str, ...]:
    """Families that may be taken from a place: of one that a code base declares, those that it is known to keep there."""
    at = f"{place.steps}:{place.prefix}"
    for line in SOURCES.values():
        for layout in line.layouts:
            beside = [other for other in (layout.online, layout.momentum) if other is not None]
            declared = not layout.said and file.marked(layout) and place.prefix and at in beside
            if declared and all(file.trunk(other, layout.names, (place.family,)) for other in beside):
                return line.families
    return tuple(each.family for each in backbones.every())


def _equals(places: list[Place]) -> list[list[Place]]:
    """Group places that hold the same network: a file may name one module twice."""
    groups: list[list[Place]] = []
    for place in places:
        group = next((group for group in groups if _equal(group[0], place)), None)
        groups.append([place]) if group is None else group.append(place)
    return groups


def _equal(a: Place, b: Place) -> bool:
    first, second = a.tensors, b.tensors
    return a.fit.name == b.fit.name and first.keys() == second.keys() and all(_same(first[k], second[k]) for k in first)


def _same(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)


def _chosen(groups: list[list[Place]], branch: str | None) -> tuple[Place | None, tuple[Place, ...]]:
    """Return the place to take, and the pair of encoders it is of, if any."""
    if len(groups) > 2:
        return None, ()
    pairs = [(a, b) for a, b in permutations(chain(*groups), 2) if _are_pair(a, b)]
    if pairs and all(any(place in group for place in pairs[0]) for group in groups):
        return pairs[0][1 if branch == "momentum" else 0], pairs[0]
    if len(groups) > 1:
        return None, ()
    return min(groups[0], key=lambda place: _branch(place) == "momentum"), ()


def _are_pair(online: Place, momentum: Place) -> bool:
    """Tell whether two places hold one architecture, and differ as the encoders of a code base of the table do."""
    first, second = _words(online), _words(momentum)
    if online.fit.name != momentum.fit.name:
        return False
    bare = [[part for part in _parts(words) if part not in marks] for words, marks in ((first, _ONLINE), (second, _AVERAGE))]
    told = bare[0] == bare[1] and not _AVERAGE.isdisjoint(_parts(second)) and _AVERAGE.isdisjoint(_parts(first))
    return told or _difference(first, second) in _PAIRS


def _difference(first: list[str], second: list[str]) -> tuple[str, str] | None:
    """Return the two words in which two rows of words differ; None where that isn't one place."""
    differ = [(a, b) for a, b in zip(first, second, strict=False) if a != b]
    return differ[0] if len(first) == len(second) and len(differ) == 1 else None


def _parts(words: list[str]) -> list[str]:
    return [part for word in words for part in word.split("_")]


def _table_pairs() -> set[tuple[str, str]]:
    layouts = [layout for line in SOURCES.values() for layout in line.layouts if layout.momentum is not None]
    places = [[re.split(r"[:./]", place or "") for place in (layout.online, layout.momentum)] for layout in layouts]
    return {found for first, second in places if (found := _difference(first, second))}


_PAIRS = _table_pairs()
"""(word of the online encoder, word of the momentum encoder), as the table's code bases have them: `encoder_q`, `encoder_k`."""
_ONLINE = {part for first, second in _PAIRS for part in set(_parts([first])) - set(_parts([second]))}
_AVERAGE = {part for first, second in _PAIRS for part in set(_parts([second])) - set(_parts([first]))}
"""Parts of words that only the one's have, such as `q`, or only the other's, such as `k` and `ema`."""
_MOMENTUM = {second for _, second in _PAIRS} - {first for first, _ in _PAIRS}


def _words(place: Place) -> list[str]:
    return _bare(f"{place.steps}.{place.prefix}").split(".")


def _bare(words: str) -> str:
    """Put a user's, or a place's, words in one form: without wrappers, slashes, and dots at the ends."""
    return without_wrappers(words.strip("./").replace("/", ".")).strip(".")


def _branch(place: Place) -> Branch:
    return "momentum" if _MOMENTUM.intersection(_words(place)) else "online"


def _found(file: File, place: Place, same: list[Place], pair: tuple[Place, ...], *, alone: bool) -> Found:
    used = {key for key, _ in place.trunk.values()}
    level = place.level
    dropped = level.unused(used) + files.elsewhere(file.payload.content, level.raw)
    branch: Branch = _branch(place) if not pair else "momentum" if place is pair[1] else "online"
    reasons = [f"a whole {place.fit.name} {place.title}; none of the code bases in `bench ls sources` writes it so"]
    if pair:
        other = pair[1] if place is pair[0] else pair[0]
        reasons.append(
            f"the {branch} encoder; the {'online' if branch == 'momentum' else 'momentum'} one is {other.title} (--branch)"
        )
    others = [each.title for each in same if each is not place and each not in pair]
    reasons += [f"the same tensors also {', '.join(others)}"] if others else []
    own_choice = alone or (bool(pair) and place is pair[0])
    remarks = level.remarks(used)
    return Found(PLAIN, branch, place.tensors, tuple(dropped), "; ".join(reasons), own_choice, remarks=remarks)


def _several(path: Path, groups: list[list[Place]]) -> CheckpointError:
    found = [group[0] for group in groups]
    listed = "\n           ".join(f"{place.fit.name} {place.title}" for place in found)
    prefixes = [place.own_prefix for place in found]
    alone = len(set(prefixes)) == len(prefixes)
    options = [prefix if alone else f"{place.steps}/{prefix}" for place, prefix in zip(found, prefixes, strict=True)]
    return CheckpointError(
        f"{path} holds {len(found)} whole backbones, and nothing says which is meant",
        seen=listed,
        allowed=" or ".join(f"--prefix {option or chr(39) * 2}" for option in options),
        fix="say which with --prefix",
    )


def _none(file: File, path: Path, places: list[Place]) -> CheckpointError:
    if not places:
        return nothing_recognised(path, file.payload, None)
    near = min(places, key=lambda place: len(place.fit.amiss) / len(place.fit.expected))
    if near.stranger:
        return nothing_recognised(path, file.payload, None)
    beside = [key.removeprefix(near.prefix) for key in near.level.tensors if key not in {k for k, _ in near.trunk.values()}]
    return misfit(near.fit, shapes_of(near.tensors), path, f"what lies {near.title}", tuple(beside))


def _not_there(path: Path, prefix: str, places: list[Place]) -> CheckpointError:
    found = ", ".join(f"{place.fit.name}{'' if place.whole else ' in part'} {place.title}" for place in places)
    return CheckpointError(
        f"no backbone below {prefix!r} in {path}",
        seen=found or "nothing that looks like one, anywhere",
        allowed="a prefix, such as encoder., or keys and a prefix, such as state_dict/encoder.",
        fix=f"--prefix {places[0].own_prefix or chr(39) * 2}" if places else "get the whole checkpoint",
    )


def _no_momentum(path: Path, place: Place) -> CheckpointError:
    return CheckpointError(
        f"{path} holds no momentum encoder",
        seen=f"one backbone, {place.title}",
        allowed="--branch online",
        fix="leave --branch away",
    )
