"""Run folders: what is written, and that it is written whole."""

from ._files import plain as plain, write_json as write_json
from ._versions import versions as versions
