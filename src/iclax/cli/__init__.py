"""The command line: it parses and calls, nothing more."""

from ._app import main as main
