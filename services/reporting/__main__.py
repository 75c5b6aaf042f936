"""`python -m services.reporting [api|worker|rebuild NAME|archive ACT]`."""

from hosting.command import main
from services.reporting import reporting
from services.reporting.figures.rebuild import rebuilds
from services.reporting.measures import measures

main(reporting, rebuilds(measures), detaches=True)
