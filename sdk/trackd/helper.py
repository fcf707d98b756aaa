"""Functions that scripts for wandb use by the name `wandb.helper`."""

from trackd.configuration.sources import parse_config

__all__ = ["parse_config"]
