import pytest

from tfrecs import cli


def run(arguments, capsys):
    """Returns exit code, standard output and standard error of the command line."""
    cli.console.width = cli.errors.width = 200
    with pytest.raises(SystemExit) as stop:
        cli.main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return stop.value.code, out, err
