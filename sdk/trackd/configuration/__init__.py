"""`run.config`: the parameters of a run, where they come from, and who may change them.

`sources` reads what users give (`parse_config`), `first` puts together what a run starts with,
`config` is what scripts hold. Must not know runs or agents: a change is handed to a function.
"""

from trackd.configuration.config import Config, StaticConfig
from trackd.configuration.first import FirstConfig, first_config
from trackd.configuration.sources import RESERVED, parse_config

__all__ = ["RESERVED", "Config", "FirstConfig", "StaticConfig", "first_config", "parse_config"]
