"""The LLM worker: carries out model calls through litellm, which nothing else imports."""
