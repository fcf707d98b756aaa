"""`python -m trackd_agent`: what ranks start; the same as `trackd agent`, without options."""

import sys

from trackd_agent.daemon.entry import run_agent

if __name__ == "__main__":
    sys.exit(run_agent())
