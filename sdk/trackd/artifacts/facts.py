"""What an artifact is called and says about itself, as a draft and as a version on a server."""

from __future__ import annotations

import os
import string
import weakref
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from trackd.artifacts import rules
from trackd.artifacts.errors import ArtifactNotLoggedError
from trackd.artifacts.manifest import ArtifactDigestAlgorithm, Manifest
from trackd.artifacts.notices import warn

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from trackd.artifacts.hashing import DigestAlgorithm
    from trackd.artifacts.naming import ArtifactPath
    from trackd.artifacts.online.logged import Logged
    from trackd.remote.connection import Remote

_ID_CHARACTERS = 128
_PENDING = "PENDING"
#: On the wire: the team's default, and no end.
_TTL_INHERITED, _TTL_NEVER = -1, -2
_LETTERS_AND_DIGITS = (string.ascii_letters + string.digits).encode()
#: Which character a random byte stands for; the few that would make some likelier are left out.
_OF_BYTE = bytes(_LETTERS_AND_DIGITS[byte % 62] for byte in range(256))
_LEFT_OUT = bytes(range(248, 256))
_by_client_id: weakref.WeakValueDictionary[str, ArtifactFacts]


def new_client_id() -> str:
    """Return 128 random letters and digits.

    From the system, not from the user's `random`: a seed set there must not make ids repeat.
    """
    text = b""
    while len(text) < _ID_CHARACTERS:
        text += os.urandom(_ID_CHARACTERS + 16).translate(_OF_BYTE, _LEFT_OUT)
    return text[:_ID_CHARACTERS].decode()


def register(artifact: ArtifactFacts) -> None:
    """Let an artifact be found by its client id as long as somebody holds it."""
    _by_client_id[artifact.client_id] = artifact


class ArtifactFacts:
    """The facts that a draft has as well as a version; subclasses add the others."""

    def __init__(self, name: str, type_: str, manifest: Manifest | None) -> None:
        self._name = name
        self._type = type_
        #: None: not read yet.
        self._manifest = manifest
        self._description: str | None = None
        self._metadata: dict[str, Any] = {}
        #: As on the wire; None: nothing was said.
        self._ttl_seconds: int | None = None
        #: What the server says; None: it was not asked, or does not know the artifact.
        self._logged: Logged | None = None
        self._remote: Remote | None = None
        #: Id of the version of which this is a changed copy, and the collection of that.
        self.base_id: str | None = None
        self.home: ArtifactPath | None = None
        #: Identifies this version until a server gives it an id.
        self.client_id = new_client_id()
        #: Identifies the collection until a server gives it an id.
        self.sequence_client_id = new_client_id()
        #: Shared by all processes that add parts to one version; see `Run.upsert_artifact`.
        self.distributed_id: str | None = None
        register(self)

    @classmethod
    def of_client_id(cls, client_id: str) -> Self | None:
        """Return the artifact of this process that has a client id; None when it is gone."""
        found = _by_client_id.get(client_id)
        return found if isinstance(found, cls) else None

    def __repr__(self) -> str:
        return f"<Artifact {self.id or self.name}>"

    @property
    def remote(self) -> Remote:
        """The server that has the artifact.

        Raises:
            ArtifactNotLoggedError: none has.
        """
        return self._server("remote")

    def _facts(self, what: str) -> Logged:
        """Return what the server says.

        Args:
            what: the attribute or method that was asked for.

        Raises:
            ArtifactNotLoggedError: no server knows the artifact.
        """
        if self._logged is None or self.is_draft():
            raise ArtifactNotLoggedError(what, self)
        return self._logged

    def _server(self, what: str) -> Remote:
        """Return the server that has the artifact; see `_facts`."""
        self._facts(what)
        if self._remote is None:
            raise ArtifactNotLoggedError(what, self)
        return self._remote

    def _take(self, remote: Remote, logged: Logged) -> None:
        """Become the version of which a server told."""
        self._remote, self._logged = remote, logged
        self._name = self._name if ":" in self._name else logged.place.name
        self._type = logged.type
        self._description = logged.description
        self._metadata = rules.checked_metadata(logged.metadata)
        self._ttl_seconds = None
        self._manifest = None

    @property
    def id(self) -> str | None:
        """Id at the server; None for a draft."""
        return None if self._logged is None or self.is_draft() else self._logged.id

    @property
    def name(self) -> str:
        """Name, once a server knows it with the version, or the alias by which it was found."""
        return self._name

    @property
    def source_name(self) -> str:
        """Name of the artifact itself, also where this object is a link to it."""
        return self._name if self._logged is None else self._logged.source.name

    @property
    def type(self) -> str:
        """Type, such as `dataset` or `model`."""
        return self._type

    @property
    def is_link(self) -> bool:
        """True for a link to an artifact of another collection."""
        return self._logged is not None and self._logged.is_link

    @property
    def state(self) -> str:
        """`PENDING` until the server has everything, then `COMMITTED`, later maybe `DELETED`."""
        return _PENDING if self._logged is None else self._logged.state

    def is_draft(self) -> bool:
        """Tell whether no server has the artifact yet."""
        return self.state == _PENDING

    @property
    def description(self) -> str | None:
        """Free text, shown as Markdown. Can be set; `save()` sends it."""
        return self._description

    @description.setter
    def description(self, description: str | None) -> None:
        self._warn_of_source("description")
        self._description = description

    @property
    def metadata(self) -> dict[str, Any]:
        """Facts about the contents, at most 100 keys at the top. Can be set; `save()` sends them.

        Raises:
            TypeError: when set: no dictionary, or something that is not JSON.
            ValueError: when set: too many keys, or an infinite number.
        """
        return self._metadata

    @metadata.setter
    def metadata(self, metadata: Mapping[str, Any] | str | None) -> None:
        self._warn_of_source("metadata")
        self._metadata = rules.checked_metadata(metadata)

    @property
    def ttl(self) -> timedelta | None:
        """Time from creation to deletion; None: never. Can be set, also to `ArtifactTTL.INHERIT`.

        Raises:
            ArtifactNotLoggedError: it is the team's, which only the server knows.
            ValueError: when set: not positive, or an artifact that has no lifetime of its own.
        """
        seconds = self._ttl_seconds
        if seconds is None and self._logged is not None and not self.is_draft():
            seconds = self._logged.ttl_seconds if self._logged.ttl_seconds > 0 else _TTL_NEVER
        if seconds in (None, _TTL_INHERITED):
            raise ArtifactNotLoggedError("ttl", self)
        return None if seconds == _TTL_NEVER else timedelta(seconds=seconds)

    @ttl.setter
    def ttl(self, ttl: timedelta | rules.ArtifactTTL | None) -> None:
        if self._type == "wandb-history":
            raise ValueError("ttl: an artifact of type 'wandb-history' has no lifetime of its own")
        if self.is_link:
            raise ValueError(
                "ttl: a link has no lifetime of its own: set that of artifact.source_artifact"
            )
        if ttl is rules.ArtifactTTL.INHERIT:
            self._ttl_seconds = _TTL_INHERITED
        elif ttl is None:
            self._ttl_seconds = _TTL_NEVER
        else:
            self._ttl_seconds = rules.checked_ttl_seconds(ttl)

    @property
    def ttl_wire_seconds(self) -> int | None:
        """Lifetime as on the wire: -1 the team's, -2 no end, None nothing was said.

        Less than a second is none, and stands for no end.
        """
        return _TTL_NEVER if self._ttl_seconds == 0 else self._ttl_seconds

    @property
    def manifest(self) -> Manifest:
        """The entries, read from the server when they are first asked for.

        Raises:
            CommError: the server cannot be asked.
        """
        if self._manifest is None:
            from trackd.artifacts.online import fetching  # only where a server has the entries

            facts = self._facts("manifest")
            algorithm = facts.digest_algorithm.removeprefix("MANIFEST_")
            manifest = new_manifest(algorithm, None)
            self._manifest = fetching.fill(manifest, self._server("manifest"), facts.id)
        return self._manifest

    @property
    def digest(self) -> str:
        """Hex digest over all paths and their digests; equal contents have equal digests."""
        return self.manifest.digest() if self._logged is None else self._logged.digest

    @property
    def digest_algorithm(self) -> ArtifactDigestAlgorithm:
        """By what the digests were made."""
        if self._logged is not None:
            return ArtifactDigestAlgorithm(self._logged.digest_algorithm)
        return self.manifest.digest_algorithm

    @property
    def size(self) -> int:
        """Bytes of all entries, references included."""
        return self.manifest.size() if self._logged is None else self._logged.size

    def _warn_of_source(self, what: str) -> None:
        if self.is_link:
            warn(
                f"the {what} of a link is that of its source: all links to it will show the new one"
            )


_by_client_id = weakref.WeakValueDictionary()


def new_manifest(digest_algorithm: str, storage_region: str | None) -> Manifest:
    """Return an empty manifest.

    Raises:
        ValueError: the algorithm does not exist, or the region is blank or no text.
    """
    from trackd.artifacts.hashing import DIGEST_ALGORITHMS

    algorithm: DigestAlgorithm | None = next(
        (known for known in DIGEST_ALGORITHMS if known == digest_algorithm), None
    )
    if algorithm is None:
        raise ValueError(
            f"digest_algorithm {digest_algorithm!r} does not exist: use one of {DIGEST_ALGORITHMS}"
        )
    return Manifest(algorithm, _checked_region(storage_region))


def _checked_region(region: object) -> str:
    if region is None:
        return ""
    if not isinstance(region, str) or not region.strip():
        raise ValueError(f"storage_region {region!r} is no name: name a region or leave it out")
    return region.strip()
