"""What users write with: ``App`` declares, ``Context`` is what a handler may do.

``app`` reads declarations (``signatures``, ``schema``, ``docs``, ``names``); ``agent`` runs one handler on an engine
driver; ``model_loop`` is the handler of model-driven agents.
"""
