"""A path or method that nobody declared is answered like every other no."""

import pytest

from tests.world import World

pytestmark = pytest.mark.stack


@pytest.mark.parametrize(
    ("method", "path", "status", "slug"),
    [
        ("GET", "/procurement/nothing-here", 404, "route_unknown"),
        ("DELETE", "/procurement/budgets", 405, "method_unknown"),
    ],
)
async def test_a_problem_in_both_languages(
    world: World, method: str, path: str, status: int, slug: str
) -> None:
    answer = await world.api.client.request(method, world.stack.urls["procurement"] + path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["slug"] == slug
    assert body["zh"]["next_step"]
    assert body["en"]["next_step"]
