"""Sound clips."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from trackd import libraries
from trackd.media.references import hash_of_address, is_reference, refer_in, refuse_in_run
from trackd.media.stored import ANY_NUMBER, Media

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from trackd.artifacts.artifact import Artifact
    from trackd.artifacts.online.values import Source
    from trackd.recording.recordable import RunPlace, Slot


class Audio(Media):
    """A sound clip.

    Args:
        data_or_path: path of a sound file, or samples (numbers from -1 to 1): an array or list
            of frames, or of frames by channel.
        sample_rate: samples a second; needed for samples.
        caption: text shown with it.

    Raises:
        ValueError: samples without `sample_rate`.
        Error: `soundfile` is missing.
        OSError: the file cannot be read.
    """

    log_type = "audio-file"
    folder = "media/audio"
    max_batch: ClassVar[int] = ANY_NUMBER

    def __init__(
        self, data_or_path: Any, sample_rate: int | None = None, caption: str | None = None
    ) -> None:
        super().__init__(caption)
        #: Samples a second, as given.
        self.sample_rate = sample_rate
        #: How long it lasts; None for a file.
        self.duration_s: float | None = None
        self._reference = ""
        if is_reference(data_or_path):
            self._reference = data_or_path
            self._sha256 = hash_of_address(data_or_path)
        elif isinstance(data_or_path, str | Path):
            self.refer(data_or_path)
        elif sample_rate is None:
            raise ValueError("Audio: samples need sample_rate: Audio(samples, sample_rate=16000)")
        else:
            self.hold(_wav(data_or_path, sample_rate), ".wav")
            self.duration_s = len(data_or_path) / float(sample_rate)

    @property
    def reference(self) -> str:
        """Address in external storage; empty for a clip whose bytes are here."""
        return self._reference

    @classmethod
    def _of_file(cls, path: str, form: dict[str, Any], source: Source) -> Self:
        del form, source
        return cls(path)

    def bind_file(self, place: RunPlace, slot: Slot) -> None:
        """Put the file into the run.

        Raises:
            ValueError: the clip is in external storage.
        """
        refuse_in_run("audio clip", self._reference)
        super().bind_file(place, slot)

    def add_file_to(self, artifact: Artifact) -> str:
        """Add the clip to an artifact; return its path there."""
        if self._reference:
            return refer_in(artifact, self._reference, self.folder)
        return super().add_file_to(artifact)

    @classmethod
    def batch_form(cls, items: Sequence[Audio], forms: list[dict[str, Any]]) -> dict[str, Any]:
        """Return what stands for a list of clips."""
        form: dict[str, Any] = {
            "_type": "audio",
            "count": len(forms),
            "audio": forms,
            "sampleRates": [item.sample_rate for item in items],
            "durations": [item.duration_s for item in items],
        }
        if any(item.caption is not None for item in items):
            form["captions"] = [item.caption or "" for item in items]
        return form

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Audio) and super().__eq__(other) and self._caption == other._caption
        )

    def __hash__(self) -> int:
        return super().__hash__()


def _wav(samples: Any, sample_rate: int) -> bytes:
    soundfile = libraries.load("soundfile", "Audio with samples")
    out = io.BytesIO()
    soundfile.write(out, samples, sample_rate, format="WAV")
    return out.getvalue()
