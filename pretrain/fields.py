"""Fields of nested settings by short names: `queue` for `method.queue` where only the method has a `queue`."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pretrain import methods, optimizers
from pretrain.core.errors import ConfigError
from pretrain.core.plain import require_plain, shown
from pretrain.core.settings import Settings, TextFile
from pretrain.methods import Method
from pretrain.recipe import Recipe
from pretrain.schedule import ENDLESS, Schedule

NAME = "name"
"""What a bare text in place of a block means, unless `BLOCKS` says otherwise: the class of its settings."""
BLOCKS: Mapping[str, str] = {"method": NAME, "recipe": NAME, "optimizer": NAME, "schedule": "shape"}
"""Fields that hold settings of their own → the one of these that a bare text in their place means."""
OPTIMIZER = "recipe.optimizer."
"""What the whole names of an optimiser's fields begin with."""
RECIPE = "recipe"
"""The block that has no name."""


def leaves(settings: Settings, prefix: str = "") -> dict[str, Any]:
    """Return every field of nested settings by its whole name, such as `recipe.optimizer.momentum`, with its plain value.

    A nested block that has a `name` stands under its own name with it: `method: mocov2`.
    """
    plain = settings.model_dump(mode="json")
    found: dict[str, Any] = {}
    for field, value in settings:
        whole = f"{prefix}{field}"
        if not isinstance(value, Settings) or isinstance(value, TextFile):
            found[whole] = plain[field]
            continue
        inner = leaves(value, f"{whole}.")
        if f"{whole}.name" in inner:
            found[whole] = inner.pop(f"{whole}.name")
        found |= inner
    return found


def merged(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Join layers of fields as a person writes them. The later layer has the last word; blocks are joined field by field.

    Another bare name starts a block anew: another method's or optimiser's fields are other ones. The same name changes nothing.
    """
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            before = result.pop(key, None)  # what comes later must also stand later: it may be the same field's other name
            both = key in BLOCKS and isinstance(before, Mapping | str) and isinstance(value, Mapping | str)
            anew = isinstance(value, str) and BLOCKS.get(key) == NAME and not _is_named(before, value)
            result[key] = merged(_inside(key, before), _inside(key, value)) if both and not anew else value
    return result


def _is_named(block: object, name: str) -> bool:
    """Whether a block's fields are those of what has that name."""
    return isinstance(block, Mapping) and block.get(NAME) == name


def _inside(block: str, value: Mapping[str, Any] | str) -> Mapping[str, Any]:
    """The fields of a block, of which a bare text is one."""
    return {BLOCKS[block]: value} if isinstance(value, str) else value


def placed(values: Mapping[str, Any], known: Iterable[str], where: str) -> dict[str, Any]:
    """Bring fields under short, dotted or nested names into one nested mapping; of a field given twice the later one counts.

    Args:
        values: Fields as a person writes them.
        known: Whole names of all fields and blocks.
        where: The fields come from, for messages.

    Raises:
        ConfigError: For an unknown name, with the nearest known one, or a short name of two fields.
    """
    names = list(known)
    blocks = {name for name in names if any(other.startswith(f"{name}.") for other in names)}
    result: dict[str, Any] = {}
    for name, value in _flat(values, names, blocks, where):
        require_plain(value, f"{name.rpartition('.')[2]} in {where}")
        if name in blocks and not isinstance(value, str):
            raise ConfigError(f"bad value for {name!r} in {where}", seen=shown(value), allowed="a name, or a mapping of fields")
        if name == RECIPE:
            raise ConfigError(f"a recipe has no name in {where}", seen=shown(value), allowed="a mapping of its fields")
        *outer, last = f"{name}.{_text_of(name)}".split(".") if name in blocks else name.split(".")
        inside = result
        for step in outer:
            inside = inside.setdefault(step, {})
        inside[last] = value
    return result


def _text_of(block: str) -> str:
    """The field that a bare text in place of a block means; the block by its whole name."""
    return BLOCKS[block.rpartition(".")[2]]


def _flat(values: Mapping[Any, Any], names: list[str], blocks: set[str], where: str, at: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in values.items():
        whole = _whole(key, names, where, at)
        if whole in blocks and isinstance(value, Mapping):
            inner = dict(value)
            if NAME in inner and _text_of(whole) == NAME:
                yield whole, inner.pop(NAME)
            yield from _flat(inner, names, blocks, where, f"{whole}.")
        else:
            yield whole, value


def _whole(key: Any, names: list[str], where: str, at: str) -> str:
    """The one field or block that a name means."""
    inside = [name for name in names if name.startswith(at)]
    if f"{at}{key}" in names:
        return f"{at}{key}"
    meant = [name for name in inside if isinstance(key, str) and name.endswith(f".{key}")]
    having = [] if at else [name for name, kind in optimizers.OPTIMIZERS.items() if key in kind.model_fields]
    if meant and having and f"{OPTIMIZER}{key}" not in meant:  # whether a short name is clear doesn't hang on the optimiser
        meant.append(f"{OPTIMIZER}{key} of {' and '.join(having)}")
    if len(meant) == 1:
        return meant[0]
    if meant:
        raise ConfigError(
            f"{key!r} in {where} is the name of {len(meant)} fields", allowed=", ".join(meant), fix="write it whole"
        )
    known = inside if "." in str(key) else {name.rpartition(".")[2] for name in inside}
    elsewhere = [] if at else [name for name in methods.METHODS if key in methods.get(name).model_fields] + having
    if elsewhere:
        seen = f"{key} is a setting of {', '.join(elsewhere)}"
        raise ConfigError(f"unknown key in {where}: {key!r}", seen=seen, allowed=", ".join(sorted(known)), fix="drop it")
    raise ConfigError.unknown(f"key in {where}:", shown(key).strip("'"), known)


def completed(values: Mapping[str, Any], shared: Iterable[str], where: str) -> dict[str, Any]:
    """Bring the fields of a pre-training into nested form, and complete its recipe with the one that its method publishes.

    Args:
        values: Fields as a person writes them.
        shared: Names of the fields and blocks of the configuration itself.
        where: The fields come from, for messages.

    Raises:
        ConfigError: For an unknown method, optimiser or field.
    """
    method, optimizer = methods.get(named(values, "method") or methods.DEFAULT), named(values, "optimizer")
    chosen = type(method.recipe.optimizer) if optimizer is None else optimizers.get(optimizer)
    given = placed(values, _names(shared, method, chosen), where)
    own, recipe = given.pop("method", {}), given.pop("recipe", {})
    own = {**(own if isinstance(own, dict) else {}), "name": method.model_fields["name"].default}
    return {**method.defaults, **given, "method": own, "recipe": _recipe(method, recipe)}


def named(values: Mapping[str, Any], block: str) -> str | None:
    """The name that is given for a block, under whichever of its names."""
    found = None
    for key, value in values.items():
        if key == block or str(key).endswith(f".{block}"):
            found = value.get("name", found) if isinstance(value, Mapping) else value
        elif key == "recipe" and isinstance(value, Mapping):
            found = named(value, block) or found
    return None if found is None else str(found)


def _names(shared: Iterable[str], method: type[Method], optimizer: type[Settings]) -> Iterator[str]:
    """Whole names of all fields of a configuration with that method and that optimiser."""
    yield from shared
    blocks: tuple[tuple[str, type[Settings]], ...] = (
        ("method.", method), ("recipe.", Recipe), ("recipe.optimizer.", optimizer), ("recipe.schedule.", Schedule)
    )  # fmt: skip
    for prefix, block in blocks:
        yield from (f"{prefix}{name}" for name in block.model_fields if name != "name")


def _recipe(method: type[Method], given: Mapping[str, Any]) -> dict[str, Any]:
    """The method's published recipe with what is given; another optimiser starts from its own defaults."""
    plain = method.recipe.model_dump()
    for block in ("optimizer", "schedule"):
        if isinstance(given.get(block), dict):
            wanted = given[block]
            same = wanted.get("name", plain[block].get("name")) == plain[block].get("name")
            given = {**given, block: {**plain[block], **wanted} if same else wanted}
    shape = given.get("schedule", {}).get("shape") if isinstance(given.get("schedule"), dict) else None
    if shape in ENDLESS:
        plain.pop("end_lr")  # the published one is another shape's
    return {**plain, **given}
