"""`python -m tfrecs.cli`: the command `tfrecs`."""

from tfrecs.cli import main

main()
