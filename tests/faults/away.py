"""F18: the identity provider is down. Who is known stays known, and nobody else is the worse for it.

Sinks and feeds come with the integration service; what the platform sends out today goes to Kafka.
"""

from __future__ import annotations

from tests.faults.ground import ROLES
from tests.faults.rig import PROVIDER, SERVICES
from tests.faults.scene import Fault, Scene

STOPPED = "stopped"


async def provider_is_away(scene: Scene, variant: str) -> None:
    """F18. Everybody has just signed in: tokens go on being verified, also those that a service sees
    for the first time, with the keys that it has. A service that starts meanwhile has none: it says
    so until the provider is back, and the others do not care.
    """
    rig, api = scene.rig, scene.ground.world.api
    api.forget_all()
    for person in (*everybody(scene), *scene.ground.lookers.values()):
        await api.token(person)
    await scene.anew()
    before = len(scene.load.asked)
    await rig.halt(PROVIDER)
    try:
        if variant == STOPPED:
            await scene.load.finish()
        else:
            await rig.restart(variant)
            await scene.to_the_end()
    finally:
        await rig.resume(PROVIDER)
    scene.wrong += [
        f"{one.key}: nobody could say what became of it, {one.unknown} times"
        for one in scene.load.asked[before:]
        if one.unknown and one.service != variant
    ]


def everybody(scene: Scene) -> list[str]:
    """Who asks in this round."""
    return [school.person(role) for school in scene.ground.schools for role in ROLES]


AWAY = (Fault("F18", "provider down", [STOPPED, *SERVICES], provider_is_away),)
