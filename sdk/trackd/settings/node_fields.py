"""Settings about servers, waiting, the monitor, and many processes of one run."""

from __future__ import annotations

import os

from trackd.settings import rules
from trackd.settings.field import (
    agent_setting,
    deprecated_setting,
    inert_setting,
    optional,
    secret,
    setting,
)

_CREDENTIALS = "~/.config/wandb/credentials.json"
_NEVER_GIVEN_UP = "an upload is never given up: it is repeated until the server has everything"
_NO_TOKENS = "servers are reached with API keys, not with identity tokens"
_NOT_CORE = "the agent paces uploads by itself"
_AGENT_JOURNAL = "every record is on disk as soon as the call returns"

_seconds = rules.at_least(0)
_count = rules.at_least(0, rules.integer)
_bytes = rules.at_least(1, rules.integer)


class ServerFields:
    """The server, and how it is reached."""

    __slots__ = ()

    base_url: str | None = setting(
        None, rules.base_url, "Address of the server; not set: the agent's own one."
    )
    app_url_override: str | None = setting(
        None, rules.url, "Address of the pages, where it differs from the server's.", "APP_URL"
    )
    api_key: str | None = secret(setting(None, rules.unspaced, "Key for the server."))
    force: bool = setting(False, rules.boolean, "`login` may not fall back to offline mode.")
    relogin: bool = setting(False, rules.boolean, "`login` asks for a key even if there is one.")
    login_timeout: float | None = setting(
        None, _seconds, "How long `login` waits for somebody to type a key, in seconds."
    )
    insecure_disable_ssl: bool = agent_setting(
        False, rules.boolean, "Do not check the server's certificate."
    )
    http_proxy: str | None = secret(
        agent_setting(None, rules.url, "Proxy for servers with http addresses.")
    )
    https_proxy: str | None = secret(
        agent_setting(None, rules.url, "Proxy for servers with https addresses.")
    )
    x_proxies: dict[str, str] | None = secret(
        deprecated_setting(rules.text_map, "use http_proxy and https_proxy", for_agent=True)
    )
    x_extra_http_headers: dict[str, str] | None = secret(
        agent_setting(None, rules.text_map, "Further headers of requests to the server.")
    )
    credentials_file: str = inert_setting(_CREDENTIALS, rules.text, _NO_TOKENS)
    identity_token_file: str | None = inert_setting(None, rules.folder, _NO_TOKENS)
    azure_account_url_to_access_key: dict[str, str] | None = secret(
        setting(None, rules.text_map, "Keys for references to Azure, by the URL of their account.")
    )
    sagemaker_disable: bool = inert_setting(
        False, rules.boolean, "nothing is taken from SageMaker's own files"
    )


class UploadFields:
    """Pace and patience of uploads, all carried out by the agent."""

    __slots__ = ()

    heartbeat_seconds: int = agent_setting(
        30, _bytes, "Silence after which the server is told that the run lives, in seconds."
    )
    x_file_stream_transmit_interval: float | None = agent_setting(
        None, _seconds, "Time between two requests with rows, in seconds."
    )
    x_file_stream_max_bytes: int | None = agent_setting(
        None, _bytes, "About the largest request with rows, in bytes."
    )
    x_file_stream_max_line_bytes: int | None = agent_setting(
        None, _bytes, "Largest row as JSON, in bytes; a larger one is dropped and counted."
    )
    x_file_stream_no_gzip: bool = agent_setting(
        True, rules.boolean, "False: compress requests with rows."
    )
    x_file_stream_retry_max: int | None = inert_setting(None, _count, _NEVER_GIVEN_UP)
    x_file_stream_retry_wait_min_seconds: float | None = agent_setting(
        None, _seconds, "Shortest wait before rows are sent again, in seconds."
    )
    x_file_stream_retry_wait_max_seconds: float | None = agent_setting(
        None, _seconds, "Longest wait before rows are sent again, in seconds."
    )
    x_file_stream_timeout_seconds: float | None = agent_setting(
        None, _seconds, "Longest wait for the answer to a request with rows, in seconds."
    )
    x_file_transfer_retry_max: int | None = inert_setting(None, _count, _NEVER_GIVEN_UP)
    x_file_transfer_retry_wait_min_seconds: float | None = agent_setting(
        None, _seconds, "Shortest wait before a file is sent again, in seconds."
    )
    x_file_transfer_retry_wait_max_seconds: float | None = agent_setting(
        None, _seconds, "Longest wait before a file is sent again, in seconds."
    )
    x_file_transfer_timeout_seconds: float | None = agent_setting(
        None,
        _seconds,
        "Longest time without progress while a file travels, in seconds.",
        "FILE_PUSHER_TIMEOUT",
    )
    x_graphql_retry_max: int | None = inert_setting(None, _count, _NEVER_GIVEN_UP)
    x_graphql_retry_wait_min_seconds: float | None = agent_setting(
        None, _seconds, "Shortest wait before a control call is repeated, in seconds."
    )
    x_graphql_retry_wait_max_seconds: float | None = agent_setting(
        None, _seconds, "Longest wait before a control call is repeated, in seconds."
    )
    x_graphql_timeout_seconds: float | None = agent_setting(
        None, _seconds, "Longest wait for the answer to a control call, in seconds.", "HTTP_TIMEOUT"
    )
    x_live_policy_rate_limit: int | None = agent_setting(
        None, _count, "Shortest time between two uploads of a `live` file, in seconds."
    )
    x_live_policy_wait_time: int | None = inert_setting(
        None, _count, "a `live` file is looked at twice a second; see x_live_policy_rate_limit"
    )
    x_server_side_derived_summary: bool = inert_setting(
        False, rules.boolean, "the agent makes the summary; it is the same"
    )
    x_flow_control_custom: bool | None = inert_setting(None, rules.boolean, _NOT_CORE)
    x_flow_control_disabled: bool | None = inert_setting(None, rules.boolean, _NOT_CORE)
    x_network_buffer: int | None = inert_setting(None, rules.integer, _NOT_CORE)
    x_skip_transaction_log: bool = inert_setting(False, rules.boolean, _AGENT_JOURNAL)
    x_transaction_log_flush_interval: float = inert_setting(15.0, _seconds, _AGENT_JOURNAL)
    x_sync: bool = inert_setting(False, rules.boolean, "`trackd sync` needs no settings of its own")


class WaitingFields:
    """How long calls may take, in seconds, and what this process keeps meanwhile."""

    __slots__ = ()

    init_timeout: float = setting(90.0, _seconds, "How long `init` waits for the agent.")
    finish_timeout: float = setting(
        0.0,
        _seconds,
        "How long `finish` waits until the agent has everything; 0: as long as it moves. The "
        "agent goes on uploading afterwards.",
    )
    finish_timeout_raises: bool = setting(
        False, rules.boolean, "Raise TimeoutError when `finish_timeout` is over."
    )
    summary_timeout: int = setting(60, _count, "How long reading the summary waits.")
    log_max_block: float = setting(
        1.0, _seconds, "How long `log` waits for room in a full spool before it drops a row."
    )
    spool_max_bytes: int = setting(
        1 << 30,
        rules.at_least(1 << 22, rules.integer),
        "Most bytes on disk that this process keeps for an agent that does not answer.",
    )
    spool_segment_bytes: int = setting(
        1 << 20, rules.at_least(1 << 16, rules.integer), "Size of a file of the spool, in bytes."
    )
    x_service_wait: float = setting(
        30.0, rules.waiting_time, "How long `init` waits for an agent that it starts."
    )
    x_service_transport: str | None = inert_setting(
        None, rules.text, "TRACKD_SERVICE says how the agent is reached", "SERVICE_TRANSPORT"
    )
    x_internal_check_process: float = inert_setting(
        8.0, rules.number, "the agent notices at once when a process ends"
    )
    x_cli_only_mode: bool = inert_setting(False, rules.boolean, "the command line needs no mode")


class ProcessFields:
    """Several processes, one run; one process for the monitor."""

    __slots__ = ()

    x_label: str | None = setting(
        None,
        rules.short_name,
        "Label of this process among those of its run; at most 128 characters.",
    )
    x_primary: bool = setting(
        True, rules.boolean, "This process writes the run's own files: config, metadata, code."
    )
    x_update_finish_state: bool = setting(
        True, rules.boolean, "The end of this process may end the run."
    )
    x_start_time: float | None = setting(
        None, _seconds, "When the run started, in seconds since 1970; set by `init`."
    )
    x_disable_meta: bool = agent_setting(
        False, rules.boolean, "Write no metadata of the run (`wandb-metadata.json`)."
    )
    x_disable_machine_info: bool = agent_setting(
        False, rules.boolean, "Record nothing of the machine: no metadata, metrics, code."
    )
    x_disable_stats: bool = agent_setting(False, rules.boolean, "Record no system metrics.")
    x_stats_pid: int = agent_setting(
        0, rules.integer, "Process whose use of the machine is recorded.", factory=os.getpid
    )
    x_stats_sampling_interval: float = agent_setting(
        15.0, rules.sampling_interval, "Time between two samples of system metrics, in seconds."
    )
    x_stats_track_process_tree: bool = agent_setting(
        False,
        rules.boolean,
        "`cpu` and `proc.*` cover all processes that x_stats_pid started, too.",
    )
    x_stats_disk_paths: tuple[str, ...] | None = optional(
        agent_setting(("/",), rules.texts, "File systems whose use is recorded.")
    )
    x_stats_cpu_count: int | None = agent_setting(
        None, rules.integer, "Number of processors in the metadata."
    )
    x_stats_cpu_logical_count: int | None = agent_setting(
        None, rules.integer, "Number of logical processors in the metadata."
    )
    x_stats_gpu_count: int | None = agent_setting(
        None, rules.integer, "Number of GPUs in the metadata."
    )
    x_stats_gpu_type: str | None = agent_setting(None, rules.text, "Kind of GPU in the metadata.")
    x_stats_gpu_device_ids: tuple[int, ...] | None = agent_setting(
        None, rules.integers, "Numbers of the GPUs whose metrics are recorded; not set: all."
    )
    x_stats_no_cgroup: bool = agent_setting(
        False, rules.boolean, "Percentages are of the machine, not of the control group."
    )
    x_stats_self_usage: bool = agent_setting(
        False,
        rules.boolean,
        "Record what the agent itself uses: `wandb.cpu`, `wandb.memory.rssMB`.",
    )
    x_stats_host_details: bool = agent_setting(
        False,
        rules.boolean,
        "Record more of the machine: each processor, load, swap, temperature, power.",
    )
    x_stats_dcgm_exporter: str | None = agent_setting(
        None, rules.text, "URL of a Prometheus query of DCGM metrics, or of an exporter's /metrics."
    )
    x_stats_open_metrics_endpoints: dict[str, str] | None = agent_setting(
        None, rules.text_map, "Prometheus endpoints whose metrics are recorded: name and URL."
    )
    x_stats_open_metrics_filters: dict[str, dict[str, str]] | tuple[str, ...] | None = (
        agent_setting(
            None,
            rules.filters,
            "Which series of Prometheus endpoints are recorded: a list of patterns of "
            "`{endpoint}.{metric}`, or such patterns, each with patterns of labels.",
        )
    )
    x_stats_open_metrics_http_headers: dict[str, str] | None = secret(
        setting(None, rules.text_map, "Headers of requests to Prometheus endpoints and to DCGM.")
    )
    x_stats_neuron_monitor_config_path: str | None = agent_setting(
        None, rules.path, "Configuration of AWS's `neuron-monitor`, in place of our own."
    )
    x_stats_buffer_size: int = agent_setting(
        0,
        rules.integer,
        "How many of the last values of each system metric `run._system_metrics` returns; -1: all "
        "that the agent has room for.",
    )
    x_stats_coreweave_metadata_base_url: str = agent_setting(
        "http://169.254.169.254",
        rules.url,
        "Where CoreWeave's machines ask what cluster they are in; only if the server names an "
        "organization there.",
    )
    x_stats_coreweave_metadata_endpoint: str = agent_setting(
        "/api/v2/cloud-init/meta-data",
        rules.text,
        "Path of the question to CoreWeave's metadata service.",
    )
