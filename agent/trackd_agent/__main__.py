"""`python -m trackd_agent`: what ranks start; the same as `trackd agent`, without options."""

from trackd_agent.daemon.entry import leave, run_agent

if __name__ == "__main__":
    leave(run_agent())
