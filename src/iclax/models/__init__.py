"""Models: predictors with weights, written for one prompt."""

from ._attention_stack import AttentionStack as AttentionStack
from ._cubic import (
    FixedPromptLoss as FixedPromptLoss,
    cubic_coefficients as cubic_coefficients,
    cubic_features as cubic_features,
)
from ._gpt import GPT as GPT
from ._linear_attention import (
    LinearAttention as LinearAttention,
    PartialForm as PartialForm,
)
