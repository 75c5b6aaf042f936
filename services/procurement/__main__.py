"""`python -m services.procurement [api|worker|rebuild VIEW]`."""

from hosting.command import main
from services.procurement import procurement

main(procurement)
