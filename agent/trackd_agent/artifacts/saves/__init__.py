"""Saves: from the record of a logged artifact to exactly one committed version.

Owns the order of calls (create, files, manifest, commit), which file goes how, what becomes of a
save when something fails, and how far it is. A record becomes a save when a pump has read it;
`notes` keeps it beside the pump's checkpoint until it has ended, and a save that began anew after
a death asks the server again what is missing: the client id of the record makes all calls the
same version. Called by `runs` (which hands over records) and `rpc` (watch, cancel, list).
"""

from trackd_agent.artifacts.saves.destination import Destination
from trackd_agent.artifacts.saves.failures import SaveFailed
from trackd_agent.artifacts.saves.notes import SaveNotes
from trackd_agent.artifacts.saves.order import SaveOrder, key_of
from trackd_agent.artifacts.saves.progress import SaveProgress, SaveState
from trackd_agent.artifacts.saves.run_saves import RunSaves
from trackd_agent.artifacts.saves.saves import Save, Saves
from trackd_agent.artifacts.saves.staged import remove as remove_staged

__all__ = [
    "Destination",
    "RunSaves",
    "Save",
    "SaveFailed",
    "SaveNotes",
    "SaveOrder",
    "SaveProgress",
    "SaveState",
    "Saves",
    "key_of",
    "remove_staged",
]
