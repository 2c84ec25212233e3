"""Models: predictors with weights, written for one prompt."""

from ._linear_attention import LinearAttention as LinearAttention
