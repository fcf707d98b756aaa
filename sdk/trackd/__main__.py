"""`python -m trackd`: the command line, where the `trackd` script is not on the path."""

from trackd.cli import main

if __name__ == "__main__":
    main()
