"""One declarative recipe per paper."""


def recipes() -> dict[str, tuple[str, str]]:
    """Name -> (one line, reference) of every recipe; found by listing this folder."""
    return {}
