"""`python -m services.assets [api|worker|rebuild VIEW]`."""

from hosting.command import main
from services.assets import assets

main(assets)
