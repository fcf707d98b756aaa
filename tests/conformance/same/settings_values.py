# Values of settings: what is accepted, as what, and what is refused; computed ones.
import pathlib

from confhelp import attempt, obs, sdk

Settings = sdk.Settings

VALUES = {
    "project": [5, None, "", "a b", "p" * 128, "p" * 129, "a:b"],
    "run_id": ["", " ", "a ", "a/b", "ü", 5, "a:b"],
    "run_tags": ["one", ["a", ""], ["a" * 64], ["a" * 65], [1], (), ("a", "a"), {"a"}, None, 5],
    "run_name": [5, "", pathlib.Path("a")],
    "run_notes": [["a"]],
    "entity": ["", "a/b"],
    "mode": ["Online", "", None, "shared", "disabled"],
    "console": ["auto", "wrap", "none", "wrap_emu", None],
    "console_chunk_max_bytes": [-1, "5", 1.5],
    "console_chunk_max_seconds": [2.0],
    "console_multipart": ["yes", "maybe", 1, 2],
    "resume": [True, False, "auto", "yes", "Allow"],
    "fork_from": [
        *("a?_step=x", "a?step=1", "a", "?_step=1", "a?_step=1.5", "a/b?_step=1"),
        *("a?_step=-1", "a b?_step=1", "a?_step="),
    ],
    "x_stats_sampling_interval": [0.05, 0.1, "2"],
    "x_service_wait": [-1],
    "x_file_stream_max_line_bytes": [0, 1],
    "x_skip_transaction_log": [True],
    "base_url": [
        *("http://a/", "ftp://a", "a", "", "http://", "https://wandb.ai", "http://api.wandb.ai"),
        *("https://api.wandb.ai/", 5),
    ],
    "http_proxy": ["x", "http://p:1/"],
    "https_proxy": [""],
    "api_key": [" a", "", 5],
    "sweep_id": ["", " a", "a"],
    "ignore_globs": [["a", "b"], (), [1]],
    "reinit": [True, "True", "x", "create_new", None, 1],
    "quiet": ["on", "off", "", None, "TRUE", "t", []],
    "save_code": [None, "no"],
    "init_timeout": ["5", "x", None],
    "summary_timeout": [1.5, "9"],
    "nonsense": [1],
    "start_method": ["thread"],
    "x_primary_node": [False],
    "x_label": [5],
    "x_stats_gpu_device_ids": ["[0,1]", [0, "1"], "0"],
    "x_stats_disk_paths": [["/"], None],
    "x_extra_http_headers": ['{"a": "b"}', "a", {"a": 1}, {"a": "b"}],
    "capture_loggers": [{"a": "INFO"}, {"a": 10}],
    "x_proxies": [{"http": "p"}],
    "x_stats_open_metrics_filters": [["a"], {"a": {"b": "c"}}, '["a"]', 5],
    "x_stats_open_metrics_endpoints": ['{"a":"http://b"}'],
    "x_history_value_encoding": ["JSON , typed", "typed", "foo"],
    "root_dir": [pathlib.Path("x"), 5],
    "code_dir": [pathlib.Path("y")],
    "program": [pathlib.Path("z")],
    "stop_fn": [5],
    "job_source": ["repo", "x"],
    "config_paths": [["a"]],
    "symlink": ["0"],
    "strict": [5],
    "use_dot_wandb": ["1"],
    "x_stats_coreweave_metadata_base_url": ["nope"],
    "x_start_time": ["5"],
    "x_log_level": ["10"],
    "max_end_of_run_history_metrics": [-5],
    "git_remote": [None],
    "x_stats_pid": ["7"],
}
for name, values in VALUES.items():
    for number, value in enumerate(values):
        made = attempt(f"{name} {number}", Settings, **{name: value})
        if made is not None and hasattr(made, name):
            obs(f"{name} {number} is", getattr(made, name))

attempt("exclusive", Settings, resume="allow", resume_from="a?_step=1")
attempt("exclusive too", Settings, fork_from="a?_step=1", resume_from="a?_step=1")
attempt("id and fork at once", Settings, run_id="a", fork_from="a?_step=1")
attempt("id and rewind at once", Settings, run_id="a", resume_from="b?_step=1")
attempt("no log offline", Settings, x_skip_transaction_log=True, mode="offline")
for name in ("_label", "_nope", "_disable_stats"):
    attempt(name, Settings, **{name: "1"})

settings = Settings(run_id="a")
attempt("fork from itself", setattr, settings, "fork_from", "a?_step=3")
attempt("fork from another", setattr, settings, "fork_from", "b?_step=3")
obs("moment", [settings.fork_from.run, settings.fork_from.value, settings.fork_from.metric])
attempt("unknown name", setattr, settings, "nope", 1)
attempt("no value", setattr, settings, "mode", None)
attempt("computed", setattr, settings, "files_dir", "x")
attempt("read unknown", lambda: settings.nope)

settings = Settings(
    mode="offline",
    run_id="rid",
    root_dir="/r",
    x_start_time=0,
    entity="e f",
    project="p q",
    sweep_id="s",
    base_url="http://my.server:80",
)
COMPUTED = (
    *("files_dir", "sync_dir", "log_dir", "log_user", "log_internal", "log_symlink_user"),
    *("log_symlink_internal", "resume_fname", "run_mode", "settings_workspace", "sync_file"),
    *("sync_symlink_latest", "timespec", "wandb_dir", "app_url", "project_url", "run_url"),
    *("sweep_url", "is_local", "deployment", "colab_url", "_offline", "_shared", "_noop"),
    *("_jupyter", "_ipython", "_notebook", "_colab", "_kaggle", "_os", "_platform", "_python"),
    *("_args", "_start_datetime", "_tmp_code_dir", "_windows", "_aws_lambda"),
)
for name in COMPUTED:
    obs(name, str(getattr(settings, name)).replace("wandb", "trackd"))
