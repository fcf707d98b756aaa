"""What an artifact is called and says about itself, before a server knows it."""

from __future__ import annotations

import functools
import random
import string
import weakref
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from trackd.artifacts import rules
from trackd.artifacts.errors import ArtifactNotLoggedError
from trackd.artifacts.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from trackd.artifacts.hashing import DigestAlgorithm

_ID_CHARACTERS = 128
#: On the wire: the team's default, and no end.
_TTL_INHERITED, _TTL_NEVER = -1, -2
#: Facts that only a server can tell.
_SERVER_FACTS = frozenset(
    {"aliases", "collection", "commit_hash", "created_at", "entity", "file_count", "history_step"}
    | {"linked_artifacts", "linked_at", "project", "qualified_name", "source_artifact"}
    | {"source_collection", "source_entity", "source_project", "source_qualified_name"}
    | {"source_version", "tags", "updated_at", "url", "version"}
)
#: What only an artifact on a server can do.
_SERVER_METHODS = frozenset(
    {"checkout", "delete", "download", "file", "files", "get", "get_entry", "get_path", "logged_by"}
    | {"new_draft", "unlink", "used_by", "verify", "wait"}
)
#: Not the user's `random`: a seed set there must not make ids repeat.
_random = random.SystemRandom()
_by_client_id: weakref.WeakValueDictionary[str, ArtifactFacts]


def new_client_id() -> str:
    """Return 128 random letters and digits."""
    return "".join(_random.choices(string.ascii_letters + string.digits, k=_ID_CHARACTERS))


class ArtifactFacts:
    """The facts of a draft; `Artifact` adds the contents."""

    def __init__(self, name: str, type_: str, manifest: Manifest) -> None:
        self._name = name
        self._type = type_
        self._manifest = manifest
        self._description: str | None = None
        self._metadata: dict[str, Any] = {}
        #: As on the wire; None: nothing was said.
        self._ttl_seconds: int | None = None
        #: Identifies this version until a server gives it an id.
        self.client_id = new_client_id()
        #: Identifies the collection until a server gives it an id.
        self.sequence_client_id = new_client_id()
        #: Shared by all processes that add parts to one version; see `Run.upsert_artifact`.
        self.distributed_id: str | None = None
        #: True: what is added comes on top of the latest version.
        self.incremental = False
        _by_client_id[self.client_id] = self

    @classmethod
    def of_client_id(cls, client_id: str) -> Self | None:
        """Return the artifact of this process that has a client id; None when it is gone."""
        found = _by_client_id.get(client_id)
        return found if isinstance(found, cls) else None

    def __repr__(self) -> str:
        return f"<Artifact {self._name}>"

    def __getattr__(self, name: str) -> Any:
        # Only what the class does not have comes here.
        if name in _SERVER_METHODS:
            return functools.partial(_refuse, name)
        if name in _SERVER_FACTS or isinstance(getattr(type(self), name, None), property):
            raise ArtifactNotLoggedError(name)  # also what a property raised is asked for here
        raise AttributeError(f"an artifact has no attribute {name!r}")

    def __getitem__(self, name: str) -> NoReturn:
        _refuse("get")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _SERVER_FACTS:
            raise ArtifactNotLoggedError(name)
        object.__setattr__(self, name, value)

    @property
    def id(self) -> str | None:
        """Id at the server; None for a draft."""
        return None

    @property
    def name(self) -> str:
        """Name, without a version while it is a draft."""
        return self._name

    @property
    def source_name(self) -> str:
        """Name of the artifact itself, also where this object is a link to it."""
        return self._name

    @property
    def type(self) -> str:
        """Type, such as `dataset` or `model`."""
        return self._type

    @property
    def is_link(self) -> bool:
        """True for a link to an artifact of another collection."""
        return False

    @property
    def state(self) -> str:
        """`PENDING` until the server has everything."""
        return "PENDING"

    def is_draft(self) -> bool:
        """Tell whether no server has the artifact yet."""
        return True

    @property
    def description(self) -> str | None:
        """Free text, shown as Markdown. Can be set."""
        return self._description

    @description.setter
    def description(self, description: str | None) -> None:
        self._description = description

    @property
    def metadata(self) -> dict[str, Any]:
        """Facts about the contents, at most 100 keys at the top. Can be set and changed.

        Raises:
            TypeError: when set: no dictionary, or something that is not JSON.
            ValueError: when set: too many keys, or an infinite number.
        """
        return self._metadata

    @metadata.setter
    def metadata(self, metadata: Mapping[str, Any] | str | None) -> None:
        self._metadata = rules.checked_metadata(metadata)

    @property
    def ttl(self) -> timedelta | None:
        """Time from creation to deletion; None: never. Can be set, also to `ArtifactTTL.INHERIT`.

        Raises:
            ArtifactNotLoggedError: it is the team's, which only the server knows.
            ValueError: when set: not positive, or an artifact that has no lifetime.
        """
        if self._ttl_seconds in (None, _TTL_INHERITED):
            raise ArtifactNotLoggedError("ttl")
        return None if self._ttl_seconds == _TTL_NEVER else timedelta(seconds=self._ttl_seconds)

    @ttl.setter
    def ttl(self, ttl: timedelta | rules.ArtifactTTL | None) -> None:
        if self._type == "wandb-history":
            raise ValueError("ttl: an artifact of type 'wandb-history' has no lifetime of its own")
        if ttl is rules.ArtifactTTL.INHERIT:
            self._ttl_seconds = _TTL_INHERITED
        elif ttl is None:
            self._ttl_seconds = _TTL_NEVER
        else:
            self._ttl_seconds = rules.checked_ttl_seconds(ttl)

    @property
    def ttl_wire_seconds(self) -> int | None:
        """Lifetime as on the wire: -1 the team's, -2 no end, None nothing was said."""
        return self._ttl_seconds

    @property
    def manifest(self) -> Manifest:
        """All entries."""
        return self._manifest

    @property
    def digest(self) -> str:
        """Hex digest of the contents: paths and digests of all entries, nothing else."""
        return self._manifest.digest()

    @property
    def digest_algorithm(self) -> str:
        """`MANIFEST_MD5` or `MANIFEST_XXH128`."""
        return f"MANIFEST_{self._manifest.digest_algorithm}"

    @property
    def size(self) -> int:
        """Bytes of all entries, references included."""
        return self._manifest.size()


_by_client_id = weakref.WeakValueDictionary()


def _refuse(name: str, *_args: object, **_options: object) -> NoReturn:
    raise ArtifactNotLoggedError(name)


def new_manifest(digest_algorithm: str, storage_region: str | None) -> Manifest:
    """Return an empty manifest.

    Raises:
        ValueError: the algorithm does not exist, or the region is blank.
    """
    from trackd.artifacts.hashing import DIGEST_ALGORITHMS

    algorithm: DigestAlgorithm | None = next(
        (known for known in DIGEST_ALGORITHMS if known == digest_algorithm), None
    )
    if algorithm is None:
        raise ValueError(
            f"digest_algorithm {digest_algorithm!r} does not exist: use one of {DIGEST_ALGORITHMS}"
        )
    region = None if storage_region is None else storage_region.strip()
    if region == "":
        raise ValueError("storage_region is blank: name a region or leave it out")
    return Manifest(algorithm, region or "")
