"""Setting files: TOML in, checked objects out, errors in the user's words."""

from ._covariates import COVARIATE_TABLES as COVARIATE_TABLES
from ._keys import (
    Key as Key,
    own_tables as own_tables,
    table_keys as table_keys,
    tables as tables,
)
from ._load import load_setting as load_setting, parse_setting as parse_setting
from ._models import (
    MODEL_TABLES as MODEL_TABLES,
    AttentionStackTable as AttentionStackTable,
    GPTTable as GPTTable,
    LinearAttentionTable as LinearAttentionTable,
    OwnModelTable as OwnModelTable,
)
from ._setting import (
    PromptTable as PromptTable,
    Setting as Setting,
    TrainingTable as TrainingTable,
)
from ._tasks import TASK_TABLES as TASK_TABLES
