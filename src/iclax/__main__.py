"""`python -m iclax` and the `iclax` command."""

from .cli import main

if __name__ == "__main__":
    main()
