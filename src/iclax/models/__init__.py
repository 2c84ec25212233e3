"""Models: predictors with weights, written for one prompt."""

from ._attention_stack import AttentionStack as AttentionStack
from ._gpt import GPT as GPT
from ._linear_attention import LinearAttention as LinearAttention
