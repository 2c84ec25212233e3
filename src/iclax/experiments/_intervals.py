"""What captions say of the brackets after numbers."""


def seeds_note(count: int, each: str = "") -> str:
    """That intervals are over seeds, `each` with something; or that there are none."""
    if count == 1:
        return "1 seed: no intervals."
    return f"95 % intervals over seeds{each}."
