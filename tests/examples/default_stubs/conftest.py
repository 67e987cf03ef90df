import pytest


@pytest.fixture(scope="session")
def podflare_stubs():
    return {"import openai": "(the model is not asked)"}


@pytest.fixture(scope="session")
def podflare_commands():
    return {"pip": "Requirement already satisfied"}
