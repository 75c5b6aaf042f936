"""`python -m services.assets [api|worker|rebuild NAME|archive ACT]`."""

from hosting.command import main
from services.assets import assets

main(assets)
