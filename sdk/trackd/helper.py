"""Functions that scripts for wandb use by the name `wandb.helper`."""

from trackd.config_sources import parse_config

__all__ = ["parse_config"]
