"""What generated bindings (`aiobpf gen`) are made of: a collection as a class with an attribute for each part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self, TypedDict, TypeVar

from aiobpf.collection.collection import Collection
from aiobpf.collection.names import UnknownNameError
from aiobpf.elf import read_spec
from aiobpf.errors import SpecError
from aiobpf.kernel.worker import in_worker
from aiobpf.runtime import Opening
from aiobpf.spec import CollectionSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from os import PathLike
    from types import TracebackType
    from typing import Unpack

    from anyio import CapacityLimiter

    from aiobpf.btf import Btf
    from aiobpf.collection.attached import Attached
    from aiobpf.collection.collection import Source
    from aiobpf.kernel.btf import KernelBtfCache
    from aiobpf.kernel.tokens import TokenSource
    from aiobpf.runtime import LogPolicy, Map, Program
    from aiobpf.runtime.kconfig_values import Kconfig
    from aiobpf.stream.event_stream import EventStream
    from aiobpf.stream.options import PerfOptions

E = TypeVar("E")
T = TypeVar("T", bound="Bindings")


class LoadArguments(TypedDict, total=False):
    """The options of `aiobpf.load`, which tells what they mean."""

    replace_maps: Mapping[str, Map] | None
    pin_path: str | PathLike[str] | None
    kernel_btf: Btf | str | PathLike[str] | None
    btf_cache: KernelBtfCache | None
    token: TokenSource
    kconfig: Kconfig | None
    programs: Iterable[str] | None
    attach_programs: Mapping[str, Program] | None
    log: LogPolicy | None
    limiter: CapacityLimiter | None


class Bindings:
    """The base of a generated class: maps, programs and variables are its attributes, *collection* is what has them.

    Closing it closes the collection. What the load left out (programs that were not chosen, and those not loaded unless
    asked for) is no attribute: UnknownNameError says so. `Collection.bind` fills it too.
    """

    collection: Collection
    __bpf_names__: ClassVar[Mapping[str, str]] = {}
    """What the object calls an attribute, where that is no name for one."""

    def attach(self, *names: str) -> Opening[Attached]:
        """`Collection.attach`."""
        return self.collection.attach(*names)

    def stream(self, source: Map[Any, E, Any], **options: Unpack[PerfOptions]) -> EventStream[E]:
        """`Collection.stream` of a ring buffer or perf event array, with events of the class that it is annotated
        with: ``async with objects.stream(objects.events) as events``."""
        return self.collection.stream(source.name, type=source.value_class, **options)

    async def aclose(self) -> None:
        """Close the collection."""
        await self.collection.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    if not TYPE_CHECKING:  # a type checker would take every name for one

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__") or name == "collection":
                raise AttributeError(name)
            raise UnknownNameError(f"{type(self).__name__} has no {name!r}, or it was not loaded")


def open_bindings(
    cls: type[T],
    source: Source,
    variables: Mapping[str, object] | None = None,
    **options: Unpack[LoadArguments],
) -> Opening[T]:
    """`aiobpf.load` of *source*, bound to *cls*: ``async with open_bindings(Monitor, "monitor.bpf.o") as monitor``.

    *variables* are given their values before the load, constants too; SpecError for one that the object has not.
    """

    async def load() -> T:
        chosen = source
        if variables:
            chosen = source.copy() if isinstance(source, CollectionSpec) else await in_worker(read_spec, source)
            for name, value in variables.items():
                if name not in chosen.variables:
                    raise SpecError(f"the object has no variable {name!r}")
                chosen.variables[name].value = value
        collection = await Collection.load(chosen, **options)
        try:
            return collection.bind(cls)
        except BaseException:
            await collection.aclose()
            raise

    return Opening(load)
