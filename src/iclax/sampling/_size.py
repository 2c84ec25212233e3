"""How many prompts a batch may have."""

from .._errors import SettingError


def check_batch_size(batch_size: int) -> None:
    """Raise `SettingError` for a batch below 1."""
    if batch_size < 1:
        raise SettingError("batch_size", f"{batch_size}", "a whole number above 0")
