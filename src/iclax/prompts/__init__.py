"""Prompts and the laws they are drawn from."""

from ._prompt import Prompt as Prompt, PromptDistribution as PromptDistribution
from ._query import RepeatedPoint as RepeatedPoint
