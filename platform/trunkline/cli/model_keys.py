"""Which key a model's provider asks for, of the providers that are named most; litellm knows them all, and is heavy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from trunkline.domain.specs import AgentSpec
from trunkline.settings import Settings

_KEYS = {
    "openai": ("OPENAI_API_KEY",),
    "anthropic": ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
    "gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "mistral": ("MISTRAL_API_KEY",),
    "groq": ("GROQ_API_KEY",),
    "deepseek": ("DEEPSEEK_API_KEY",),
}


def missing(agents: Sequence[AgentSpec], settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """The models of ``agents`` whose calls will be refused, each with the variable that its provider's key is missing
    in. A provider that is not known here is not judged.
    """
    if settings.model_api_base:
        return {}
    models = sorted({settings.model or agent.model.model for agent in agents if agent.model is not None})
    asked = {model: _KEYS.get(model.partition("/")[0], ()) for model in models if "/" in model}
    return {model: keys[0] for model, keys in asked.items() if keys and not any(map(environment.get, keys))}
