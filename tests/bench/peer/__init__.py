"""The peer of `make bench`: gateway, generator and evaluator in FastAPI, httpx and asyncpg."""
