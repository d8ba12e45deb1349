"""The records that plugins return: names, options and how to build, without importing torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar, cast

from magkit.errors import MagkitError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from magkit.protocols import Magnifier, MagnifierMethod, Method, Target

API = 1
"""The version of hooks, specs and protocols of this magkit."""

C = TypeVar("C")
F = TypeVar("F")

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_REFERENCE = re.compile(r"\w+(\.\w+)*:\w+(\.\w+)*")


def _check(spec: Spec, name: object, config: object) -> None:
    kind = type(spec).__name__
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"{kind} name {name!r} is not lower-case letters, digits and hyphens")
    if not getattr(getattr(config, "__dataclass_params__", None), "frozen", False):
        raise ValueError(f"{kind} {name!r}: config is not a frozen dataclass")


class UnresolvedError(Exception):
    """A reference names no callable; the message is a clause that says why."""


def is_reference(text: str) -> bool:
    """Return whether a text has the form of a reference, "package.module:function"."""
    return _REFERENCE.fullmatch(text) is not None


def import_callable(reference: str) -> Callable[..., Any]:
    """Import what a reference, "package.module:function", names.

    Raises:
        UnresolvedError: There is no such module or callable.
        Exception: Whatever the module raises when it is imported.
    """
    module, _, names = reference.partition(":")
    try:
        found: Any = import_module(module)
    except ModuleNotFoundError as error:
        if not f"{module}.".startswith(f"{error.name}."):
            raise  # by an import inside that module
        raise UnresolvedError(f"there is no module '{error.name}'") from error
    for name in names.split("."):
        if not hasattr(found, name):
            raise UnresolvedError(f"there is no '{name}' in it")
        found = getattr(found, name)
    if not callable(found):
        raise UnresolvedError(f"it is a {type(found).__name__}, which can't be called")
    implementation: Callable[..., Any] = found
    return implementation


@dataclass(frozen=True, slots=True)
class LazyCallable:
    """A callable by its name, "package.module:function", imported when it is called.

    Attributes:
        reference: The name, as entry points have it.
        field: The field of the spec that it was given to, for messages.
    """

    reference: str
    field: str

    def __post_init__(self) -> None:
        if not _REFERENCE.fullmatch(self.reference):
            raise ValueError(f"{self.field}: {self.reference!r} is not 'package.module:function'")

    @property
    def module(self) -> str:
        """The name of the module."""
        return self.reference.partition(":")[0]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.resolve()(*args, **kwargs)

    def resolve(self) -> Callable[..., Any]:
        """Import the callable.

        Raises:
            MagkitError: There is no such module or callable.
            Exception: Whatever the module raises when it is imported.
        """
        try:
            return import_callable(self.reference)
        except UnresolvedError as error:
            raise self._broken(str(error)) from error

    def _broken(self, problem: str) -> MagkitError:
        package = self.module.partition(".")[0]
        return MagkitError(
            f"the plugin {package} is broken: {self.field} is '{self.reference}', and {problem}",
            f"another version of {package} may be sound",
        )


class Reference(Generic[F]):
    """A field that takes a callable or its name, "package.module:function".

    Read, it is a callable in both cases: a name is imported when it is first called, so that a
    spec and the code that it builds need not import each other.

    Args:
        default: What the field is unless given; without one, the field must be given.
    """

    def __init__(self, *default: F) -> None:
        self._default = default

    def __set_name__(self, owner: type[object], name: str) -> None:
        self._name = name

    def __get__(self, spec: object | None, owner: type[object]) -> F:
        if spec is not None:
            found: F = spec.__dict__[self._name]
            return found
        if not self._default:
            raise AttributeError(self._name)  # which tells dataclass that there is no default
        return self._default[0]

    def __set__(self, spec: object, value: F | str) -> None:
        if isinstance(value, str):
            kind, name = type(spec).__name__, spec.__dict__.get("name", "")
            value = cast("F", LazyCallable(value, f"{self._name} of {kind} '{name}'"))
        spec.__dict__[self._name] = value


@dataclass(frozen=True, kw_only=True)
class EncoderSpec(Generic[C]):
    """The part of a magnifier that self-supervised methods train.

    Attributes:
        build: Builds it from the magnifier's configuration, with random weights. It maps frames
            (N, 3, H, W) in [0, 1] to the feature map (N, C, h, w) of each branch, by its name; the
            names in its state dict are those in the magnifier's.
        strides: Pixels of the frame to a cell of each branch's map.
        centres: Pixels from the frame's edge to the centre of the first cell, of each branch's map;
            half the stride by default.
        groups: Patterns, as of `fnmatch`, of the names in its state dict; by what they belong to:
            a branch, several ("texture+motion"), or "trunk", which all branches share. A name
            belongs to the first group that it fits.
    """

    build: Reference[Callable[[C], nn.Module]] = Reference()
    strides: Mapping[str, int]
    groups: Mapping[str, Sequence[str]]
    centres: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class MagnifierSpec(Generic[C]):
    """A learned network or a classical algorithm that magnifies motion.

    Attributes:
        name: What `--magnifier` is given: lower-case letters, digits and hyphens.
        summary: One line for lists.
        config: A frozen dataclass with a default for every field.
        build: Builds the magnifier.
        losses: The loss terms of a network's outputs and their targets, means over the scenes of
            a batch: several processes average them; None: not trainable.
        needs_motion: Whether the losses ask for the motion of scenes (`Triplets.motion` and
            `moving`), which data that others published say nothing of.
        encoder: What of it `magkit pretrain` can train; None: nothing.
        weights: The safetensors file that ships with it, if any.
        preset: How it is trained unless told otherwise: values of the settings of
            `magkit finetune`, by their names (recipes/README.md lists them).
        paper: Authors, year and a link.
        api: The version of magkit's plugin interface that it was written against.
    """

    kind: ClassVar[str] = "magnifier"

    name: str
    summary: str
    config: type[C]
    build: Reference[Callable[[C], Magnifier]] = Reference()
    losses: Reference[Callable[[Any, Any], dict[str, Tensor]] | None] = Reference(None)
    needs_motion: bool = True
    encoder: EncoderSpec[C] | None = field(default=None, hash=False)
    weights: Path | None = None
    preset: Mapping[str, Any] = field(default_factory=dict, hash=False)
    paper: str = ""
    api: int = 1

    def __post_init__(self) -> None:
        _check(self, self.name, self.config)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """Default settings and options of a method's training.

    Attributes:
        why: Where the values come from, in one sentence.
        settings: Values of the settings of `magkit pretrain`, by their names.
        options: Values of the method's own options.
    """

    why: str
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class MapInfo:
    """The geometry of the feature maps that a method is given.

    Attributes:
        channels: Of a map.
        stride: Pixels of the frame to a cell.
        centre: Pixels from the frame's edge to the middle of what the first cell looks at.
    """

    channels: int
    stride: int
    centre: float


@dataclass(frozen=True, kw_only=True)
class MethodSpec(Generic[C]):
    """A self-supervised algorithm that trains an encoder, or a whole magnifier.

    Attributes:
        name: What `--method` is given: lower-case letters, digits and hyphens.
        summary: One line for lists.
        config: A frozen dataclass with a default for every field.
        trains: "encoder": a `protocols.Method`; "magnifier": a `protocols.MagnifierMethod`.
        build: Builds the method for such dense feature maps, or for such a magnifier.
        presets: Ways to train it, by name; the first is what is done unless told otherwise.
        check: Called with the configuration, the number of frames and the batch: raises a
            UsageError where they don't go together.
        paper: Authors, year and a link.
        api: The version of magkit's plugin interface that it was written against.
    """

    kind: ClassVar[str] = "method"

    name: str
    summary: str
    config: type[C]
    trains: Literal["encoder", "magnifier"] = "encoder"
    build: Reference[Callable[[C, MapInfo], Method] | Callable[[C, Any], MagnifierMethod[Any]]] = (
        Reference()
    )
    presets: Mapping[str, Preset] = field(default_factory=dict, hash=False)
    check: Reference[Callable[[C, int, int], None] | None] = Reference(None)
    paper: str = ""
    api: int = 1

    def __post_init__(self) -> None:
        _check(self, self.name, self.config)


@dataclass(frozen=True, kw_only=True)
class TargetSpec(Generic[C]):
    """A trained model to invert.

    Attributes:
        name: What `--target` is given: lower-case letters, digits and hyphens.
        summary: One line for lists.
        config: A frozen dataclass with a default for every field.
        build: Builds the target from a weights file (None: those that it ships or finds) on a
            device.
        weights: The safetensors file that ships with it, if any.
        paper: Authors, year and a link.
        api: The version of magkit's plugin interface that it was written against.
    """

    kind: ClassVar[str] = "target"

    name: str
    summary: str
    config: type[C]
    build: Reference[Callable[[C, Path | None, torch.device], Target[Any]]] = Reference()
    weights: Path | None = None
    paper: str = ""
    api: int = 1

    def __post_init__(self) -> None:
        _check(self, self.name, self.config)


Spec = MagnifierSpec[Any] | MethodSpec[Any] | TargetSpec[Any]
