"""`python -m services.nutrition [api|worker|rebuild NAME|archive ACT]`."""

from hosting.command import main
from services.nutrition import nutrition

main(nutrition)
