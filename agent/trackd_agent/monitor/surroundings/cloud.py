"""Which cloud a machine belongs to, from its firmware, and which service started a process.

The firmware's texts (DMI, `/sys/class/dmi/id`) are what cloud-init tells platforms by, too; no
metadata server is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: (field of the firmware, text that it begins with, provider), the first that fits counts.
_PROVIDERS = (
    ("sys_vendor", "Amazon EC2", "aws"),
    ("bios_vendor", "Amazon EC2", "aws"),
    ("product_uuid", "ec2", "aws"),  # machines of the Xen generation
    ("product_name", "Google Compute Engine", "gcp"),
    ("chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77", "azure"),
    ("chassis_asset_tag", "OracleCloud.com", "oracle"),
    ("product_name", "Alibaba Cloud", "alibaba"),
    ("sys_vendor", "Alibaba Cloud", "alibaba"),
    ("sys_vendor", "Tencent Cloud", "tencent"),
    ("sys_vendor", "DigitalOcean", "digitalocean"),
    ("sys_vendor", "Hetzner", "hetzner"),
    ("sys_vendor", "Scaleway", "scaleway"),
    ("sys_vendor", "UpCloud", "upcloud"),
    ("sys_vendor", "Vultr", "vultr"),
    ("product_name", "Exoscale", "exoscale"),
    ("product_name", "OpenStack", "openstack"),
)
#: Variables that a service sets for the jobs it starts: (service, name of the job).
_PLATFORMS = {
    "TRAINING_JOB_NAME": "sagemaker",
    "CLOUD_ML_JOB_ID": "vertex",
    "AZUREML_RUN_ID": "azureml",
    "DATABRICKS_RUNTIME_VERSION": "databricks",
    "RUNPOD_POD_ID": "runpod",
    "MODAL_TASK_ID": "modal",
    "VAST_CONTAINERLABEL": "vast",
    "COLAB_RELEASE_TAG": "colab",
    "KAGGLE_KERNEL_RUN_TYPE": "kaggle",
    "CODESPACE_NAME": "codespaces",
    "PBS_JOBID": "pbs",
    "LSB_JOBID": "lsf",
}
#: Variables of those that do not name a job.
_NAMELESS = frozenset({"DATABRICKS_RUNTIME_VERSION", "COLAB_RELEASE_TAG", "KAGGLE_KERNEL_RUN_TYPE"})


def cloud_of(firmware: Mapping[str, str]) -> dict[str, str]:
    """Return `provider`, and on AWS `instanceType` and `instanceId`; nothing where none is known.

    Args:
        firmware: texts by file name of `/sys/class/dmi/id`.
    """
    provider = next(
        (
            name
            for field, text, name in _PROVIDERS
            if firmware.get(field, "").lower().startswith(text.lower())
        ),
        "",
    )
    if not provider:
        return {}
    cloud = {"provider": provider}
    if provider == "aws":  # Nitro machines name themselves in the firmware
        if "." in (kind := firmware.get("product_name", "")):
            cloud["instanceType"] = kind
        if (instance := firmware.get("board_asset_tag", "")).startswith("i-"):
            cloud["instanceId"] = instance
    return cloud


def platform_of(environ: Mapping[str, str]) -> dict[str, str]:
    """Return `name` and `job` of the service that started a process, as its variables say."""
    for variable, name in _PLATFORMS.items():
        if value := environ.get(variable):
            return {"name": name} if variable in _NAMELESS else {"name": name, "job": value}
    return {}
