"""`python -m tfrecs.cli`: the command `tfrecs`."""

from tfrecs.cli import main

if __name__ == "__main__":  # not in the processes that a pipeline starts
    main()
