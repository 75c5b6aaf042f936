"""`python -m services.assets [api|worker|rebuild VIEW]`."""

from services.assets import assets
from shared.service import main

main(assets)
