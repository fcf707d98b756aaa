"""What follows from settings: folders, addresses, and facts of this process. Read-only."""

from __future__ import annotations

import os
import platform
import sys
import time
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from trackd.settings.model import Settings

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_HOSTED = {"api.wandb.ai": "wandb.ai", "api.forge.coreweave.com": "forge.coreweave.com/wandb"}
_COLAB_FILE = "fileId="
_COLAB_PAGE = "https://colab.research.google.com/notebook#"
#: Not quoted in addresses of runs, as the hosted service writes them.
_SAFE_IN_RUN_ID = "=+&$@"


class Folders:
    """Where the files of a run lie."""

    __slots__ = ()

    @property
    def wandb_dir(self) -> str:
        """Folder of all runs: `trackd` (or `.trackd`) in `root_dir`."""
        settings = cast("Settings", self)
        hidden = os.path.join(settings.root_dir, ".trackd")  # noqa: PTH118
        use_hidden = settings.use_dot_wandb
        if use_hidden is None:
            use_hidden = os.path.exists(hidden)  # noqa: PTH110
        return hidden if use_hidden else os.path.join(settings.root_dir, "trackd")  # noqa: PTH118

    @property
    def sync_dir(self) -> str:
        """Folder of the run."""
        settings = cast("Settings", self)
        if settings.run_dir:
            return settings.run_dir
        suffix = f"-{settings.x_sync_dir_suffix}" if settings.x_sync_dir_suffix else ""
        name = f"{self.run_mode}-{self.timespec}-{settings.run_id}{suffix}"
        return f"{self.wandb_dir}/{name}"

    @property
    def files_dir(self) -> str:
        """Folder of the run's files."""
        return cast("Settings", self).x_files_dir or f"{self.sync_dir}/files"

    @property
    def log_dir(self) -> str:
        """Folder of our logs."""
        return f"{self.sync_dir}/logs"

    @property
    def log_user(self) -> str:
        """Log of this process."""
        return f"{self.log_dir}/debug.log"

    @property
    def log_internal(self) -> str:
        """Log that the reference's own service writes; the agent has one log for all runs."""
        return f"{self.log_dir}/debug-internal.log"

    @property
    def log_symlink_user(self) -> str:
        """Link to the log of the newest run."""
        return f"{self.wandb_dir}/debug.log"

    @property
    def log_symlink_internal(self) -> str:
        """Link to the internal log of the newest run."""
        return f"{self.wandb_dir}/debug-internal.log"

    @property
    def sync_symlink_latest(self) -> str:
        """Link to the folder of the newest run."""
        return f"{self.wandb_dir}/latest-run"

    @property
    def sync_file(self) -> str:
        """Where the reference keeps its transaction log; ours is a journal beside it."""
        return f"{self.sync_dir}/run-{cast('Settings', self).run_id}.wandb"

    @property
    def resume_fname(self) -> str:
        """File with the id of the run that `resume="auto"` goes on with."""
        return f"{self.wandb_dir}/wandb-resume.json"

    @property
    def settings_workspace(self) -> str:
        """Settings file of this folder."""
        return f"{self.wandb_dir}/settings"

    @property
    def _tmp_code_dir(self) -> str:
        return f"{self.sync_dir}/tmp/code"  # noqa: S108 - a folder of the run

    @property
    def run_mode(self) -> str:
        """Begin of the run folder's name: `run` or `offline-run`."""
        return "offline-run" if cast("Settings", self).mode == "offline" else "run"

    @property
    def timespec(self) -> str:
        """When the run started, as in the name of its folder; empty before `init`."""
        started_s = cast("Settings", self).x_start_time
        return "" if started_s is None else _local_time(started_s)

    @property
    def _start_datetime(self) -> str:
        return self.timespec


class Addresses:
    """Pages of the run, for people."""

    __slots__ = ()

    @property
    def app_url(self) -> str:
        """Address of the pages for people; empty: those of the agent's own server."""
        settings = cast("Settings", self)
        if settings.app_url_override or not settings.base_url:
            return settings.app_url_override or ""
        scheme, _, rest = settings.base_url.partition("://")
        return f"{scheme}://{_HOSTED.get(rest, rest)}"

    @property
    def project_url(self) -> str:
        """Page of the project; empty where unknown."""
        settings = cast("Settings", self)
        if not (settings.entity and settings.project and self.app_url):
            return ""
        return f"{self.app_url}/{_quoted(settings.entity)}/{_quoted(settings.project)}"

    @property
    def run_url(self) -> str:
        """Page of the run; empty where unknown."""
        run_id, project_url = cast("Settings", self).run_id, self.project_url
        known = project_url and run_id
        return f"{project_url}/runs/{_quoted(run_id or '', _SAFE_IN_RUN_ID)}" if known else ""

    @property
    def sweep_url(self) -> str:
        """Page of the sweep; empty where unknown."""
        sweep_id, project_url = cast("Settings", self).sweep_id, self.project_url
        return f"{project_url}/sweeps/{_quoted(sweep_id or '')}" if project_url and sweep_id else ""

    @property
    def colab_url(self) -> str | None:
        """Page of the notebook at Colab; None elsewhere."""
        path = cast("Settings", self).x_jupyter_path or ""
        if not in_colab() or not path.startswith(_COLAB_FILE):
            return None
        from urllib.parse import unquote

        return _COLAB_PAGE + unquote(path)

    @property
    def is_local(self) -> bool:
        """Whether the server is no hosted service."""
        _, _, rest = (cast("Settings", self).base_url or "").partition("://")
        return rest.partition("/")[0] not in _HOSTED

    @property
    def deployment(self) -> str:
        """`local` or `cloud`."""
        return "local" if self.is_local else "cloud"


class Circumstances:
    """How the run is made: its mode, this process, this machine."""

    __slots__ = ()

    @property
    def _offline(self) -> bool:
        return cast("Settings", self).mode == "offline"

    @property
    def _shared(self) -> bool:
        return cast("Settings", self).mode == "shared"

    @property
    def _noop(self) -> bool:
        return cast("Settings", self).mode == "disabled"

    @property
    def _args(self) -> list[str]:
        return [] if self._jupyter else sys.argv[1:]

    @property
    def _ipython(self) -> bool:
        return "IPython" in sys.modules and _shell() is not None

    @property
    def _jupyter(self) -> bool:
        return in_jupyter()

    @property
    def _colab(self) -> bool:
        return in_colab()

    @property
    def _kaggle(self) -> bool:
        return "KAGGLE_KERNEL_RUN_TYPE" in os.environ or "kaggle_environments" in sys.modules

    @property
    def _notebook(self) -> bool:
        return self._ipython or self._jupyter or self._colab or self._kaggle

    @property
    def _aws_lambda(self) -> bool:
        return "AWS_LAMBDA_FUNCTION_NAME" in os.environ

    @property
    def _windows(self) -> bool:
        return os.name == "nt"

    @property
    def _os(self) -> str:
        return platform.platform(aliased=True)

    @property
    def _platform(self) -> str:
        return f"{platform.system()}-{platform.machine()}".lower()

    @property
    def _python(self) -> str:
        return f"{platform.python_implementation()} {platform.python_version()}"

    @property
    def _code_path_local(self) -> str | None:
        settings = cast("Settings", self)
        return settings.program_relpath if settings.program else None


def in_jupyter() -> bool:
    """Return whether this process runs the cells of a Jupyter notebook."""
    return type(_shell()).__name__ == "ZMQInteractiveShell"


def in_colab() -> bool:
    """Return whether this process runs the cells of a notebook at Google Colab."""
    return "google.colab" in sys.modules


def _local_time(time_s: float) -> str:
    return time.strftime("%Y%m%d_%H%M%S", time.localtime(time_s))


def _quoted(text: str, safe: str = "/") -> str:
    from urllib.parse import quote  # loads a lot, and few runs need it in this process

    return quote(text, safe=safe)


def _shell() -> Any:
    """Return the interactive shell of IPython, if this process has one."""
    module = sys.modules.get("IPython")
    get = getattr(module, "get_ipython", None)
    return get() if get is not None else None
