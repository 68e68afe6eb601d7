"""An endpoint whose policy is scripted, and OpenAI's official client of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.envs.program.conformance import KEY, Scene, scene

if TYPE_CHECKING:
    import openai


@pytest.fixture(scope="module")
def stage() -> Iterator[Scene]:
    with scene() as made:
        yield made


@pytest.fixture(scope="module")
def client(stage: Scene) -> Iterator[openai.OpenAI]:
    from openai import OpenAI

    with OpenAI(base_url=stage.url, api_key=KEY, max_retries=0) as made:
        yield made
