"""Arrays and tensors of numpy, PyTorch, JAX and TensorFlow as numbers, lists and histograms.

None of these libraries is imported here: a value is known by the names of its classes, and
whoever passes one has its library loaded already.
"""

from __future__ import annotations

import math
from typing import Any

from trackd.recording.texts import kind_of, type_name

#: Arrays with more elements are recorded as what describes them.
MAX_ARRAY_ELEMENTS = 32
HISTOGRAM_BINS = 32
_PERCENTILES = (10, 25, 75, 90)


def is_numpy_array(kind: type[Any]) -> bool:
    """Tell whether values of this type are numpy arrays."""
    return any(base.__name__ == "ndarray" and _is_of(base, "numpy") for base in kind.__mro__)


def is_numpy_scalar(kind: type[Any]) -> bool:
    """Tell whether values of this type are numpy scalars, those of extensions included."""
    return any(base.__name__ == "generic" and _is_of(base, "numpy") for base in kind.__mro__)


def is_tensor(kind: type[Any]) -> bool:
    """Tell whether values of this type are tensors of PyTorch, JAX or TensorFlow."""
    is_jax = _is_of(kind, "jaxlib") and "Array" in kind.__name__
    return is_jax or _is_torch(kind) or _is_tensorflow(kind)


def _is_torch(kind: type[Any]) -> bool:
    return any(base.__name__ == "Tensor" and _is_of(base, "torch") for base in kind.__mro__)


def _is_tensorflow(kind: type[Any]) -> bool:
    names = [base.__name__ for base in kind.__mro__ if _is_of(base, "tensorflow")]
    return any("Tensor" in name or "Variable" in name for name in names)


def _is_of(kind: type[Any], package: str) -> bool:
    return kind.__module__.partition(".")[0] == package


def tensor_to_numpy(tensor: Any) -> Any:
    """Return a tensor on the host: a numpy array, or a Python number where it has no dimension.

    Raises:
        TypeError: numpy has no form for such a tensor.
    """
    if _is_torch(kind_of(tensor)):
        return _torch_to_numpy(tensor)
    if hasattr(tensor, "numpy"):  # TensorFlow, eager
        return tensor.numpy()
    if hasattr(tensor, "__array__"):  # JAX: waits for the device, and copies
        return tensor.__array__()
    raise TypeError(f"a value of type {type_name(tensor)}")


def _torch_to_numpy(tensor: Any) -> Any:
    tensor = tensor.detach()
    if not tensor.size():
        return tensor.item()
    tensor = tensor.cpu().resolve_conj()
    if str(tensor.dtype) == "torch.bfloat16":  # which numpy lacks
        tensor = tensor.float()
    return tensor.numpy()


def scalar_to_python(scalar: Any) -> Any:
    """Return a numpy scalar as the Python value nearest to it."""
    item = scalar.item()
    if type(item) is type(scalar):  # wider than what Python has
        return complex(item) if scalar.dtype.kind == "c" else float(item)
    return item


def only_element(array: Any) -> Any:
    """Return the element of an array that has one; None where it is masked."""
    element = array.flatten()[0]
    return None if is_numpy_array(kind_of(element)) else element


def histogram(array: Any) -> dict[str, Any]:
    """Return what stands for a large array in history.

    Raises:
        ValueError: its values have no finite range.
        TypeError: its values cannot be counted in bins.
    """
    from trackd.media.histogram import Histogram

    return Histogram(array, num_bins=HISTOGRAM_BINS).to_json()


def statistics(array: Any, kind: type[Any]) -> dict[str, Any]:
    """Return what stands for a large array in the summary.

    Args:
        array: a numpy array.
        kind: the type that the user wrote there.

    Raises:
        TypeError: its values are no real numbers.
    """
    import numpy

    np: Any = numpy  # whose types differ by version
    name = "Tensor" if _is_torch(kind) or _is_tensorflow(kind) else kind.__name__
    found: dict[str, Any] = {
        "_type": f"{kind.__module__.partition('.')[0]}.{name}",
        "var": np.var(array).item(),
        "mean": np.mean(array).item(),
        "min": np.amin(array).item(),
        "max": np.amax(array).item(),
    }
    for percent in _PERCENTILES:
        found[f"{percent}%"] = np.percentile(array, percent)
    found["size"] = int(array.size)
    return found


def is_nan(value: Any) -> bool:
    """Tell whether a Python value is the float NaN."""
    return isinstance(value, float) and math.isnan(value)
