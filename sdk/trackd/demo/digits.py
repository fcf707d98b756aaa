"""Handwritten digits (8x8 pixels, bundled with scikit-learn) and a small network in numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from sklearn.datasets import load_digits

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Labels = NDArray[np.int64]

PIXELS = 64
CLASSES = 10
#: Share of the images that no rank trains on.
_HELD_OUT = 0.2


@dataclass(frozen=True)
class Images:
    """Pixels between 0 and 1, one row an image, and the digit that each shows."""

    pixels: Floats
    digits: Labels

    def __len__(self) -> int:
        return len(self.digits)

    def batch(self, random: np.random.Generator, size: int) -> Images:
        """Return images drawn at random."""
        chosen = random.integers(len(self), size=size)
        return Images(self.pixels[chosen], self.digits[chosen])

    def shard(self, rank: int, ranks: int) -> Images:
        """Return the part that one rank trains on."""
        return Images(self.pixels[rank::ranks], self.digits[rank::ranks])


def load(seed: int) -> tuple[Images, Images]:
    """Return the images to train on and those to measure with."""
    raw = cast("Any", load_digits())
    pixels = np.asarray(raw.data, dtype=np.float64) / 16
    digits = np.asarray(raw.target, dtype=np.int64)
    order = np.random.default_rng(seed).permutation(len(digits))
    cut = int(len(digits) * _HELD_OUT)
    held_out, train = order[:cut], order[cut:]
    return Images(pixels[train], digits[train]), Images(pixels[held_out], digits[held_out])


class Network:
    """One hidden layer of rectified units, trained by gradient descent with momentum."""

    def __init__(self, hidden: int, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.parameters: dict[str, Floats] = {
            "hidden.weight": random.normal(0, np.sqrt(2 / PIXELS), (PIXELS, hidden)),
            "hidden.bias": np.zeros(hidden),
            "output.weight": random.normal(0, np.sqrt(1 / hidden), (hidden, CLASSES)),
            "output.bias": np.zeros(CLASSES),
        }
        self._velocity = {name: np.zeros_like(value) for name, value in self.parameters.items()}

    def forward(self, pixels: Floats) -> tuple[Floats, Floats]:
        """Return the hidden layer and the probability of each digit."""
        own = self.parameters
        hidden = np.maximum(0, pixels @ own["hidden.weight"] + own["hidden.bias"])
        scores = hidden @ own["output.weight"] + own["output.bias"]
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        return hidden, scores / scores.sum(axis=1, keepdims=True)

    def evaluate(self, images: Images) -> tuple[float, float]:
        """Return cross-entropy and the share of images that are recognised."""
        _, probabilities = self.forward(images.pixels)
        return _measure(probabilities, images)

    def gradients(self, images: Images) -> tuple[float, float, dict[str, Floats]]:
        """Return cross-entropy, accuracy, and the gradient of each parameter."""
        hidden, probabilities = self.forward(images.pixels)
        loss, accuracy = _measure(probabilities, images)
        error = probabilities.copy()
        error[np.arange(len(images)), images.digits] -= 1
        error /= len(images)
        back = (error @ self.parameters["output.weight"].T) * (hidden > 0)
        gradients = {
            "hidden.weight": images.pixels.T @ back,
            "hidden.bias": back.sum(axis=0),
            "output.weight": hidden.T @ error,
            "output.bias": error.sum(axis=0),
        }
        return loss, accuracy, gradients

    def step(self, gradients: dict[str, Floats], rate: float, momentum: float = 0.9) -> None:
        """Move all parameters down their gradients."""
        for name, gradient in gradients.items():
            velocity = self._velocity[name]
            velocity *= momentum
            velocity -= rate * gradient
            self.parameters[name] += velocity

    def save(self, path: Path) -> None:
        """Write all parameters to an `.npz` file."""
        arrays: dict[str, Any] = dict(self.parameters)
        np.savez(path, **arrays)


def _measure(probabilities: Floats, images: Images) -> tuple[float, float]:
    right = probabilities[np.arange(len(images)), images.digits]
    loss = float(-np.log(np.maximum(right, 1e-12)).mean())
    return loss, float((probabilities.argmax(axis=1) == images.digits).mean())
