"""Language models: a table of providers, behind the kernel's port ``Models``."""

from agents.llm.mock import MockProvider, Script
from agents.llm.provider import Provider, ProviderTurn
from agents.llm.table import ModelTable

__all__ = ["MockProvider", "ModelTable", "Provider", "ProviderTurn", "Script"]
