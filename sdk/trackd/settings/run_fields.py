"""Settings about the run itself: what it is, what belongs to it, what the user sees of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from trackd.identity import working_folder
from trackd.settings import rules
from trackd.settings.field import agent_setting, deprecated_setting, inert_setting, setting

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackd.settings.moment import RunMoment

_CONSOLE = ("off", "wrap", "redirect", "wrap_raw", "wrap_emu")
_REINIT = ("default", "return_previous", "finish_previous", "create_new")
_TRUE = dict.fromkeys((True, "1", "true", "True", "yes", "on"), True)
_FALSE = dict.fromkeys((False, "0", "false", "False", "no", "off"), False)
_NOTEBOOK = "set notebook_name where the notebook is not found"
_LAUNCH = "W&B Launch is not part of trackd"


class IdentityFields:
    """What the run is."""

    __slots__ = ()

    mode: str = setting(
        "online",
        rules.one_of(
            *("online", "offline", "shared", "disabled"),
            aliases={"dryrun": "offline", "run": "online"},
        ),
        "`online`; `offline` (nothing is uploaded); `shared` (several processes write one run); "
        "`disabled` (nothing is recorded).",
    )
    project: str | None = setting(
        None, rules.project, "Project of the run; at most 128 characters, none of / \\ # ? % :."
    )
    entity: str | None = setting(
        None, rules.short_name, "User or team that the run belongs to; at most 128 characters."
    )
    run_id: str | None = setting(
        None, rules.run_id, "Id of the run; 1 to 128 characters, none of : ; , # ? / '."
    )
    run_name: str | None = setting(None, rules.text, "Name of the run, for people.", "NAME")
    run_notes: str | None = setting(None, rules.text, "Longer description of the run.", "NOTES")
    run_tags: tuple[str, ...] | None = setting(
        None, rules.tags, "Labels to search for, of 1 to 64 characters each.", "TAGS"
    )
    run_group: str | None = setting(None, rules.text, "Runs that belong together.")
    run_job_type: str | None = setting(
        None, rules.text, "Kind of job, such as `train`.", "JOB_TYPE"
    )
    reinit: str | bool = setting(
        "default",
        rules.one_of(*_REINIT, aliases={**_TRUE, **_FALSE}),
        "What `init` does while a run is open: `return_previous`, `finish_previous`, "
        "`create_new`, or `default`: finish it in notebooks, else return it.",
    )
    resume: str | None = setting(
        None,
        rules.one_of("allow", "must", "never", "auto", aliases={True: "auto", False: None}),
        "What `init` does when a run of this id exists: `allow` goes on with it, `must` fails "
        "where there is none, `never` fails where there is one, `auto` goes on with the last "
        "run of this folder that failed.",
    )
    resume_from: RunMoment | None = setting(
        None, rules.moment, "Step of this run to go back to, as `<run id>?_step=<number>`."
    )
    fork_from: RunMoment | None = setting(
        None, rules.moment, "Step of another run to start from, as `<run id>?_step=<number>`."
    )
    resumed: bool = setting(False, rules.boolean, "Whether an earlier run is continued.")
    allow_val_change: bool = inert_setting(
        False, rules.boolean, "`init` may always set values; `config.update` has an argument for it"
    )
    config_paths: tuple[str, ...] | None = setting(
        None, rules.texts, "YAML files with values for `config`; later ones win."
    )
    sweep_id: str | None = setting(None, rules.identifier, "Sweep that the run belongs to.")
    sweep_param_path: str | None = setting(
        None, rules.path, "YAML file with the parameters of a sweep; they cannot be changed."
    )
    launch: bool = setting(
        False, rules.boolean, "Whether a launcher started the run; its parameters are locked."
    )
    launch_config_path: str | None = setting(
        None, rules.path, "JSON file with the parameters of a launcher."
    )
    username: str | None = setting(None, rules.text, "Name of the user, for people.")
    email: str | None = setting(None, rules.text, "Address of the user.", "USER_EMAIL")
    organization: str | None = setting(
        None, rules.text, "Organization whose registries are meant where a path names none."
    )
    anonymous: Any = deprecated_setting(rules.anything, "it has no effect; leave it out")


class CodeFields:
    """Program, source code and git state."""

    __slots__ = ()

    program: str | None = setting(None, rules.path, "Script or notebook that makes the run.")
    program_abspath: str | None = setting(None, rules.path, "Its absolute path.")
    program_relpath: str | None = setting(
        None, rules.path, "Its path from the root of the git repository."
    )
    notebook_name: str | None = setting(None, rules.text, "Path of the notebook that runs.")
    save_code: bool | None = setting(
        None, rules.boolean, "Keep the program, or the cells of the notebook, with the run."
    )
    code_dir: str | None = setting(
        None, rules.path, "Folder whose source files are kept with the run."
    )
    disable_code: bool = setting(False, rules.boolean, "Keep no source code.")
    disable_git: bool = setting(False, rules.boolean, "Do not look at the git repository.")
    disable_git_fork_point: bool = setting(
        True,
        rules.boolean,
        "False: where no upstream branch is set, find the nearest commit of all remote branches.",
    )
    git_root: str | None = setting(None, rules.path, "Root folder of the git repository.")
    git_commit: str | None = setting(None, rules.text, "Commit that the run was made from.")
    git_remote: str = setting("origin", rules.text, "Name of the git remote.")
    git_remote_url: str | None = setting(None, rules.text, "Address of the git remote.")
    docker: str | None = setting(None, rules.text, "Docker image that the program runs in.")
    host: str | None = setting(None, rules.text, "Name of this machine, for people.")
    x_executable: str | None = setting(None, rules.path, "Path of the Python executable.")
    x_jupyter_name: str | None = inert_setting(None, rules.text, _NOTEBOOK)
    x_jupyter_path: str | None = setting(None, rules.text, "Path of the notebook at its server.")
    x_jupyter_root: str | None = inert_setting(None, rules.text, _NOTEBOOK)
    x_save_requirements: bool = setting(
        True, rules.boolean, "Write `requirements.txt`, the list of installed packages."
    )
    disable_job_creation: bool = inert_setting(True, rules.boolean, _LAUNCH)
    job_name: str | None = inert_setting(None, rules.text, _LAUNCH)
    job_source: str | None = inert_setting(None, rules.one_of("repo", "artifact", "image"), _LAUNCH)
    label_disable: bool = inert_setting(False, rules.boolean, "no labels are made of code")
    x_runqueue_item_id: str | None = inert_setting(None, rules.text, _LAUNCH)


class PlaceFields:
    """Folders, and how files get into the run's."""

    __slots__ = ()

    root_dir: str = setting(
        "",
        rules.folder,
        "Folder in which the folder of all runs is made.",
        "TRACKD_ROOT_DIR",
        "WANDB_DIR",
        "WANDB_ROOT_DIR",
        factory=lambda: str(working_folder()),
    )  # TRACKD_DIR is the data directory of agent and server
    use_dot_wandb: bool | None = setting(
        None,
        rules.boolean,
        "True: the folder of all runs is hidden (`.trackd`); not set: only where it exists.",
    )
    settings_system: str | None = setting(
        None, rules.folder, "The user's settings file; only `setup` can name another one."
    )
    symlink: bool = setting(
        os.name != "nt", rules.boolean, "Link saved files into the run folder; else copy them."
    )
    allow_media_symlink: bool = setting(
        False, rules.boolean, "Link media files into the run folder; else copy them."
    )
    allow_offline_artifacts: bool = setting(
        True, rules.boolean, "Make artifacts of tables in offline runs, too."
    )
    ignore_globs: tuple[str, ...] = agent_setting(
        (), rules.texts, "Patterns of files, relative to the files folder, that stay here."
    )
    x_files_dir: str | None = deprecated_setting(
        rules.path, "the files folder lies in the run folder; set root_dir"
    )
    x_sync_dir_suffix: str = setting(
        "", rules.text, "Added to the name of the run folder; set where that name is taken."
    )


class OutputFields:
    """Console capture, messages, and what else the user sees."""

    __slots__ = ()

    console: str = agent_setting(
        "wrap",
        rules.one_of(*_CONSOLE, aliases={"auto": "wrap"}),
        "How what is printed is captured: `wrap` (also `wrap_raw`), `wrap_emu`, `redirect`, "
        "`off`; `auto` is `wrap`. Not set, output to a terminal is read as for `wrap_emu`.",
    )
    console_multipart: bool = agent_setting(
        False, rules.boolean, "Write the console to parts under `logs/`; each goes when closed."
    )
    console_chunk_max_bytes: int = agent_setting(
        0, rules.at_least(0, rules.integer), "Size of a part of the console, in bytes; 0: any."
    )
    console_chunk_max_seconds: int = agent_setting(
        0, rules.at_least(0, rules.integer), "Age of a part of the console, in seconds; 0: any."
    )
    capture_loggers: dict[str, str] | None = setting(
        None, rules.text_map, "Python loggers to capture: lowest level by name."
    )
    quiet: bool = setting(False, rules.boolean, "Print warnings and errors only.")
    silent: bool = setting(False, rules.boolean, "Print nothing.")
    show_info: bool = setting(True, rules.boolean, "Print information.")
    show_warnings: bool = setting(True, rules.boolean, "Print warnings.")
    show_errors: bool = setting(True, rules.boolean, "Print errors.")
    show_colors: bool | None = setting(
        None, rules.boolean, "Colour our lines; not set: on a terminal."
    )
    show_emoji: bool | None = inert_setting(None, rules.boolean, "our lines hold no emoji")
    max_end_of_run_history_metrics: int = setting(
        10, rules.integer, "Most metrics that are drawn at the end of a run."
    )
    max_end_of_run_summary_metrics: int = setting(
        10, rules.integer, "Most summary values that are shown at the end of a run."
    )
    summary_warnings: int = inert_setting(
        5, rules.integer, "a warning about the summary is shown once"
    )
    sync_tensorboard: bool | None = setting(
        None, rules.boolean, "Record what is written to TensorBoard."
    )
    table_raise_on_max_row_limit_exceeded: bool = setting(
        False, rules.boolean, "A table with too many rows raises; else it is cut, with a warning."
    )
    strict: bool | None = setting(
        None, rules.boolean, "Raise in `log` what else is a warning: refused values, limits."
    )
    stop_fn: Callable[[], None] | None = setting(
        None, rules.function, "Called (in a thread) when the run is to stop; else SIGINT is sent."
    )
    stop_on_fatal_error: bool = inert_setting(
        False, rules.boolean, "no error of an upload is fatal: everything is kept and sent again"
    )
    x_disable_viewer: bool = inert_setting(False, rules.boolean, "no account is asked for")
    x_log_level: int = setting(20, rules.integer, "Lowest level in `debug.log`; 20: information.")
    x_history_value_encoding: str = inert_setting(
        "json", rules.encoding, "history values are always sent as JSON"
    )
