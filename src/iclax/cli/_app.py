"""The commands, and how errors leave them."""

import sys

import tyro

from .._errors import IclaxError
from ._list import list_
from ._output import tolerate_narrow_output
from ._plateau import plateau
from ._reproduce import reproduce
from ._run import run
from ._runs import runs
from ._theory import theory


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; user errors end with one message and exit code 2."""
    tolerate_narrow_output()
    app = tyro.extras.SubcommandApp()
    app.command(reproduce, name="reproduce")
    app.command(run, name="run")
    app.command(theory, name="theory")
    app.command(list_, name="list")
    app.command(runs, name="runs")
    app.command(plateau, name="plateau")
    try:
        app.cli(
            prog="iclax",
            description="Exact theory, trained models and their comparison for "
            "in-context learning.",
            args=arguments,
        )
    except IclaxError as error:
        print(f"iclax: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # the reader of our output went away, as with `| head`
        sys.stderr.close()
        sys.exit(141)
    except KeyboardInterrupt:
        print("iclax: interrupted; what is done is on disk", file=sys.stderr)
        sys.exit(130)
