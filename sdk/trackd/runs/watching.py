"""`run.watch()`: histograms of the parameters and gradients of PyTorch modules, and their graph.

Hooks of the modules count their own calls and record every `log_freq`-th. What they find joins
the row that is open. A hook never raises into the training loop.
"""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any, Protocol, cast

from trackd import libraries
from trackd.media.graph import TorchGraph
from trackd.media.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from trackd.runs.run import Run

BINS = 64
_LARGE = 1e38
_CHOICES = ("gradients", "parameters", "all", None)


class Module(Protocol):
    """What is used of a `torch.nn.Module`."""

    def named_parameters(self) -> Iterator[tuple[str, Any]]:
        """Yield names and parameters."""
        ...

    def named_children(self) -> Iterator[tuple[str, Any]]:
        """Yield names and modules right below."""
        ...

    def register_forward_hook(self, hook: Callable[..., Any]) -> Any:
        """Call `hook(module, inputs, output)` after each forward pass; return a handle."""
        ...


class Watcher:
    """The hooks of one run.

    Args:
        run: where the histograms and graphs go.
        warn: shows one line to the user.
    """

    def __init__(self, run: Run, warn: Callable[[str], None]) -> None:
        self._run = run
        self._warn = warn
        #: Hook handles by what they record, and the names that belong to each module.
        self._handles: dict[str, Any] = {}
        self._names: dict[int, list[str]] = {}
        #: The modules are kept, so that their ids stay theirs.
        self._modules: dict[int, Module] = {}
        self._with_graph: set[int] = set()
        #: What could not be recorded once, and is not tried again.
        self._given_up: set[str] = set()
        self._count = 0
        run.before_finish(self._unwatch_all)  # modules live on, and should not pay for it

    def watch(
        self,
        models: Module | Sequence[Module],
        criterion: Any,
        log: str | None,
        log_freq: int,
        idx: int | None,
        *,
        log_graph: bool,
    ) -> None:
        """Begin to record; see `Run.watch`."""
        if log not in _CHOICES:
            raise ValueError(
                f"watch(log={log!r}): must be 'gradients', 'parameters', 'all' or None"
            )
        modules = _as_modules(models)
        if log_graph and any(id(module) in self._with_graph for module in modules):
            raise ValueError(
                "watch(log_graph=True): the graph of this model is watched already; "
                "pass log_graph=False, or another instance of the model"
            )
        first = self._count if idx is None else idx
        for number, module in enumerate(modules, first):
            self._count += 1
            self._modules[id(module)] = module
            names = self._names.setdefault(id(module), [])
            prefix = f"graph_{number}" if number > 0 else ""
            if log in ("parameters", "all"):
                names += self._hook_parameters(module, prefix, log_freq)
            if log in ("gradients", "all"):
                names += self._hook_gradients(module, prefix, log_freq)
            if log_graph:
                names += self._hook_graph(module, criterion, number)

    def unwatch(self, models: Module | Sequence[Module] | None) -> None:
        """Remove the hooks of some modules, or all."""
        if models is None or self._run.is_finished:
            self._unwatch_all()
            return
        for module in models if isinstance(models, list | tuple) else (cast("Module", models),):
            names = self._names.pop(id(module), None)
            if names is None:
                self._warn(f"unwatch(): {type(module).__name__} is not watched")
                continue
            for name in names:
                self._handles.pop(name).remove()
            del self._modules[id(module)]
            self._with_graph.discard(id(module))

    def _unwatch_all(self) -> None:
        for handle in self._handles.values():
            handle.remove()
        self._handles.clear()
        self._names.clear()
        self._modules.clear()
        self._with_graph.clear()

    # --- hooks -------------------------------------------------------------------------------

    def _hook_parameters(self, module: Module, prefix: str, log_freq: int) -> Iterable[str]:
        is_due = _every(log_freq)

        def after_forward(module: Module, _inputs: Any, _output: Any) -> None:
            if is_due():
                for name, parameter in module.named_parameters():
                    self._record(f"parameters/{prefix}{name}", parameter)

        return self._hook(f"parameters/{prefix}", module.register_forward_hook, after_forward)

    def _hook_gradients(self, module: Module, prefix: str, log_freq: int) -> Iterable[str]:
        names: list[str] = []
        for name, parameter in module.named_parameters():
            if parameter.requires_grad:
                key = f"gradients/{prefix}{name}"
                record = functools.partial(self._record_gradient, key, _every(log_freq))
                names += self._hook(key, parameter.register_hook, record)
        return names

    def _record_gradient(self, key: str, is_due: Callable[[], bool], gradient: Any) -> None:
        if is_due():
            self._record(key, gradient)

    def _hook_graph(self, module: Module, criterion: Any, number: int) -> list[str]:
        self._with_graph.add(id(module))
        key = f"graph_{number}"
        graph = TorchGraph(criterion)
        waiting: set[int] = set()
        names: list[str] = []

        def after_forward(name: str, part: Any, _inputs: Any, output: Any) -> None:
            if id(part) not in waiting:
                return  # once is enough
            waiting.discard(id(part))
            with self._training_goes_on(key):
                graph.add_module(name, part, output)
                if not waiting and not self._run.is_finished:
                    self._run.summary[key] = graph

        for name, part in _leaves(module):
            waiting.add(id(part))
            hook = functools.partial(after_forward, name)
            names += self._hook(f"{key}/{name}", part.register_forward_hook, hook)
        return names

    def _hook(
        self, key: str, register: Callable[..., Any], hook: Callable[..., None]
    ) -> Iterable[str]:
        """Set one hook.

        Raises:
            ValueError: something else is recorded under this key.
        """
        if key in self._handles:
            raise ValueError(
                f"watch(): a hook is set already under {key!r}: "
                "unwatch() that model first, or pass another idx"
            )
        try:
            self._handles[key] = register(hook)
        except RuntimeError as error:  # such as scripted modules, which take no hooks
            self._warn(f"watch(): {key!r} cannot be recorded: {error}")
            return ()
        return (key,)

    def _record(self, key: str, tensor: Any) -> None:
        if self._run.is_finished or key in self._given_up:
            return
        with self._training_goes_on(key):
            found = histogram_of(tensor)
            if found is not None:
                self._run.log({key: Histogram(np_histogram=found)}, commit=False)

    @contextlib.contextmanager
    def _training_goes_on(self, key: str) -> Generator[None]:
        """Give up what cannot be recorded, such as tensors spread over machines; warn once."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - libraries of users, and runs that just ended
            self._given_up.add(key)
            if not self._run.is_finished:
                self._warn(f"watch(): {key!r} cannot be recorded: {error}")


def _as_modules(models: Module | Sequence[Module]) -> Sequence[Module]:
    """Return the modules to watch.

    Raises:
        TypeError: one of them is no PyTorch module.
    """
    modules = models if isinstance(models, list | tuple) else (models,)
    module_class = _torch().nn.Module
    for module in modules:
        if not isinstance(module, module_class):
            raise TypeError(
                f"watch(): expected a torch.nn.Module, got {type(module).__name__}: pass the model"
            )
    return cast("Sequence[Module]", modules)


def _leaves(module: Module, prefix: str = "") -> Iterator[tuple[str, Module]]:
    """Yield the modules that the graph shows, by dotted name: containers count by their content."""
    nn = _torch().nn
    for name, part in module.named_children():
        path = f"{prefix}.{name}" if prefix else name
        if isinstance(part, nn.Sequential | nn.ModuleList | nn.ModuleDict):
            yield from _leaves(part, path)
        else:
            yield path, part


def _every(log_freq: int) -> Callable[[], bool]:
    """Return a function that is true at every so many-th call."""
    calls = 0

    def is_due() -> bool:
        nonlocal calls
        calls += 1
        if calls < log_freq:
            return False
        calls = 0
        return True

    return is_due


def histogram_of(tensor: Any) -> tuple[list[float], list[float]] | None:
    """Return counts and edges of the finite values of a tensor; None where there are none.

    The counting is done where the tensor lives. Zeros that a sparse tensor does not store count.
    """
    torch = _torch()
    values = tensor.detach()
    zeros = 0
    if values.is_sparse:
        values = values.coalesce()
        zeros = values.numel() - values.values().numel()
        values = values.values()
    flat = values.reshape(-1)
    if flat.dtype not in (torch.float32, torch.float64):  # what histc knows on every device
        flat = flat.to(torch.float32)
    flat = flat[torch.isfinite(flat)]
    if not flat.numel():
        return None
    low, high = (float(bound) for bound in torch.aminmax(flat))
    if zeros:
        low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        return [float(flat.numel() + zeros)], [low, high]
    is_wide = max(-low, high) > _LARGE  # single precision cannot hold the range
    flat, precision = (flat.double(), torch.float64) if is_wide else (flat, torch.float32)
    counts: list[float] = flat.histc(bins=BINS, min=low, max=high).cpu().tolist()
    edges: list[float] = torch.linspace(low, high, steps=BINS + 1, dtype=precision).tolist()
    if zeros:
        at = max(i for i in range(BINS) if edges[i] <= 0.0)
        counts[at] += zeros
    return counts, edges


def _torch() -> Any:
    """Return PyTorch.

    Raises:
        Error: it is not installed.
    """
    return libraries.load("torch", "watch()", "torch")
