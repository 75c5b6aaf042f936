"""`python -m services.procurement [api|worker|rebuild NAME|archive ACT]`."""

from hosting.command import main
from services.procurement import procurement

main(procurement)
