"""Microsoft Graph v1.0 calendars, with the identity platform; see `calhub.testing.services.graph.service`."""

from calhub.testing.services.graph.service import Graph

__all__ = ["Graph"]
