# Runs the cases of this folder with the module that SDK_MODULE names: run.py RESULT
#
# Cases are written like those of `conformance-artifacts` in ../shared, whose harness has to be on
# the path.
import importlib
import pathlib
import sys

from harness import main

here = pathlib.Path(__file__).parent
sys.path.insert(0, str(here))
for script in sorted(here.glob("*.py")):
    if script.name != "run.py":
        importlib.import_module(script.stem)
main()
