"""Settings of the SDK: what can be set, what is accepted, where values come from.

A field is one line in a table (`run_fields`, `node_fields`): name, type, default, rule,
description. Adding a setting is adding a line. `load` fills an instance in order of precedence,
lowest first: defaults, the user's file, the workspace's file, environment, `setup(settings)`;
`init(settings=)` and arguments of `init` come on top of that.

Must not know runs, agents or terminals. Called by the session, which reads it once, and by
everything that acts on a setting.
"""

from trackd.settings.computed import in_jupyter
from trackd.settings.model import FIELDS, Settings, shown_value
from trackd.settings.moment import RunMoment
from trackd.settings.sources import (
    Loaded,
    as_values,
    from_environment,
    load,
    misspelt_in,
    user_file,
)

__all__ = [
    "FIELDS",
    "Loaded",
    "RunMoment",
    "Settings",
    "as_values",
    "from_environment",
    "in_jupyter",
    "load",
    "misspelt_in",
    "shown_value",
    "user_file",
]
